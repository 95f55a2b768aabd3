import type { Talk } from './partner.js';

export type Answers<T extends Talk> = { [Q in keyof T]: (argument: T[Q][0]) => Promise<T[Q][1]> | T[Q][1] };

/** The other end of a `Partner`: answers its questions, and ends this process when the parent goes away. */
export function answerParent<T extends Talk>(answers: Answers<T>): void {
  process.on('message', async ({ question, argument }: { question: keyof T; argument: unknown }) => {
    try {
      const answer = await answers[question](argument);
      process.send?.({ answer });
    } catch (error) {
      process.send?.({ error: (error as Error).message });
    }
  });
  process.once('disconnect', () => process.exit());
}
