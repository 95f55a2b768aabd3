/** A process that computes nothing as hard as it can, and still hears when it is told to end. */

import { answerParent } from '../rig/questions.js';

const blockMs = 10;

answerParent({
  close() {
    setImmediate(() => process.exit());
    return null;
  },
});
spin();

function spin(): void {
  const end = performance.now() + blockMs;
  while (performance.now() < end);
  setImmediate(spin);
}
