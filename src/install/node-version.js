import { say } from './run.js';

/** Ends the process where this Node cannot run farcopy. */
export function requireNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  say(`farcopy needs Node 20.19 or later; this is ${process.versions.node}.`);
  process.exit(1);
}
