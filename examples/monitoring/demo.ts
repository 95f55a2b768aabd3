import { compare } from './demo/comparison.js';
import { Screen } from './demo/screen.js';
import { Stage } from './demo/stage.js';
import { type Outcome, play } from './demo/story.js';
import { audit, showLatencies } from './demo/verdict.js';

const screen = new Screen();
const stage = new Stage();

try {
  const outcome = await play(stage, screen);
  screen.line();
  showLatencies(outcome, screen);
  const problems = [...(await audit(outcome, stage, screen)), ...(await stopAll(outcome))];
  if (problems.length === 0) screen.line('\nNo order went uncounted, and none was counted twice.\n');
  problems.push(...(await compare(outcome.transport, stage, screen)));
  for (const problem of problems) screen.line(`FAILED: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
} catch (error) {
  screen.stop();
  console.error(error);
  process.exitCode = 1;
} finally {
  stage.clear();
}

async function stopAll({ app, sidecar }: Outcome): Promise<string[]> {
  const problems: string[] = [];
  for (const actor of [app, sidecar]) {
    const ending = await actor.end('SIGTERM');
    if (ending !== 0) problems.push(`The ${actor.name} did not stop cleanly on SIGTERM. ending=${ending}`);
  }
  return problems;
}
