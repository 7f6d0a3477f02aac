#!/usr/bin/env node
import { closeSync, openSync } from 'node:fs';
import { hostname } from 'node:os';
import { isatty } from 'node:tty';
import { systemClock } from '../platform/clock.js';
import { nodeFiles } from '../platform/node-files.js';
import { systemRandom } from '../platform/random.js';
import { ApplianceError } from '../appliance/errors.js';
import type { Output } from './context.js';
import { runCommandLine } from './program.js';

/** How often to look whether the parent is still there (ms). */
const PARENT_INTERVAL = 250;

process.on('uncaughtException', (error) => {
  process.stderr.write(`farcopy: internal error: ${error.stack ?? error.message}\n`);
  process.exit(1);
});
// A reader that has seen enough (`farcopy points | head`) is no failure worth a word. A terminal that is gone has sent
// SIGHUP, which leads to a clean end: that is not to be cut off.
process.stdout.on('error', () => {
  if (!process.stdout.isTTY) process.exit(1);
});
process.stderr.on('error', () => undefined);

// At its end Node sets terminals back as they were, and aborts where one has hung up: something else takes its place.
const terminals = [0, 1, 2].filter((descriptor) => isatty(descriptor));
process.on('exit', () => {
  for (const descriptor of terminals) {
    if (isatty(descriptor)) continue;
    closeSync(descriptor);
    // The lowest number that is free, so the same.
    openSync('/dev/null', 'r+');
  }
});

// The clock's timers keep no process alive, so a command that waits for one would end in the middle.
setInterval(() => undefined, 2 ** 30);
const exitCode = await runCommandLine(process.argv.slice(2), {
  stdout: outputOf(process.stdout),
  stderr: outputOf(process.stderr),
  interactive: process.stdin.isTTY && process.stdout.isTTY,
  files: nodeFiles,
  clock: systemClock,
  random: systemRandom,
  hostName: hostname(),
  onHangUp: (listener) => void process.on('SIGHUP', listener),
  stop: stopSignal(),
});
process.exit(exitCode);

function outputOf(stream: NodeJS.WriteStream): Output {
  return {
    write: (text) => stream.write(text),
    get isTTY() {
      return stream.isTTY;
    },
  };
}

/** The first SIGINT or SIGTERM asks for a clean end; a second one of the same kind ends the process at once. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => controller.abort(new ApplianceError('stopped', 'interrupted'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  if (process.env['npm_command'] === 'exec') onParentGone(stop);
  return controller.signal;
}

/** npx that is told to stop ends only the shell that it runs this process in: nobody tells this process. */
function onParentGone(stop: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    stop();
  }, PARENT_INTERVAL);
  timer.unref();
}
