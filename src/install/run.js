import { spawnSync } from 'node:child_process';

/**
 * Runs a program to its end with this terminal as its own.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd: string, env?: Record<string, string | undefined> }} options
 * @returns {boolean} whether it ended with 0
 */
export function run(program, args, { cwd, env }) {
  const { status, error } = spawnSync(program, args, {
    cwd,
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (error !== undefined) say(`${program}: ${error.message}`);
  return status === 0;
}

/** @param {string} text */
export function say(text) {
  process.stderr.write(`${text}\n`);
}
