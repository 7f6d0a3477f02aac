import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Between asking a program to end, in which it takes down what it has set up, and ending it. */
const GRACE_MS = 15_000;

/**
 * One program to run, with node.
 *
 * @typedef {object} Job
 * @property {string} name
 * @property {readonly string[]} args
 * @property {Record<string, string>} [env]
 * @property {boolean} [alone] whether nothing may run beside it
 */

/**
 * How it ended, with all it wrote.
 *
 * @typedef {object} Ended
 * @property {Job} job
 * @property {boolean} clean whether it ended with 0
 * @property {boolean} late whether it was ended because its time was over
 * @property {number} seconds
 * @property {string} output
 */

/**
 * Runs programs side by side, in their order, and at the end one by one those that must be alone. What a program
 * writes is kept in a file and told as a whole when it ends; a file, so that something it has left behind holds
 * nothing up. Ends them with this process.
 *
 * @param {readonly Job[]} jobs
 * @param {{ atOnce: number, limitMs: number, cwd: string, folder: string, onEnd: (ended: Ended) => void }} options
 */
export async function runSideBySide(jobs, { atOnce, limitMs, cwd, folder, onEnd }) {
  const running = new Set();
  const stop = () => running.forEach((child) => child.kill('SIGTERM'));
  const interrupted = () => {
    stop();
    process.exit(130);
  };
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted);
  const drain = async (queue, workers) => {
    const waiting = [...queue];
    const work = async () => {
      for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
        onEnd(await runOne(job, { limitMs, cwd, folder, running }));
      }
    };
    await Promise.all(Array.from({ length: workers }, work));
  };
  await drain(
    jobs.filter(({ alone }) => alone !== true),
    atOnce,
  );
  await drain(
    jobs.filter(({ alone }) => alone === true),
    1,
  );
  process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
}

/** @returns {Promise<Ended>} */
function runOne(job, { limitMs, cwd, folder, running }) {
  const file = join(folder, `${job.name.replaceAll('/', '-')}.out`);
  const output = openSync(file, 'a');
  const began = performance.now();
  const env = { ...process.env, ...job.env };
  // Not `detached`: the leader of a session that opens a pty gets it as its terminal, and SIGHUP when it hangs up.
  const child = spawn(process.execPath, job.args, { cwd, env, stdio: ['ignore', output, output] });
  running.add(child);
  let late = false;
  const timers = [
    setTimeout(() => {
      late = true;
      child.kill('SIGTERM');
    }, limitMs),
    setTimeout(() => child.kill('SIGKILL'), limitMs + GRACE_MS),
  ];
  return new Promise((resolve) => {
    const ended = (clean, complaint) => {
      timers.forEach(clearTimeout);
      running.delete(child);
      closeSync(output);
      const seconds = Math.round((performance.now() - began) / 1000);
      resolve({ job, clean, late, seconds, output: readFileSync(file, 'utf8') + complaint });
    };
    child.once('error', (cause) => ended(false, `${cause.message}\n`));
    child.once('exit', (code, reason) => {
      ended(code === 0, reason === null || late ? '' : `ended by ${reason}\n`);
    });
  });
}
