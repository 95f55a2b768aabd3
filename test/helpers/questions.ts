/** What a test asks its child process, and what comes back. */
export interface Question {
  id: number;
  name: string;
  args: unknown[];
}

export interface Answer {
  id: number;
  value?: unknown;
  error?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: each question has its own arguments
type Responder = (...args: any[]) => unknown;

/** The child's side of `Child.ask`. The process ends when its parent does. */
export function answerQuestions(responders: Record<string, Responder>): void {
  process.on('message', async ({ id, name, args }: Question) => {
    try {
      const value = name === 'up' ? true : await responders[name]?.(...args);
      process.send?.({ id, value } satisfies Answer);
    } catch (error) {
      process.send?.({ id, error: String((error as Error).stack) } satisfies Answer);
    }
  });
  process.on('disconnect', () => process.exit(0));
}
