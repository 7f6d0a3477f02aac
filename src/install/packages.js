import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, say } from './run.js';

/*
 * `npm ci` begins by deleting node_modules. So it runs only when what is installed is not what package-lock.json says,
 * and never while a process has native code of this node_modules loaded: an appliance would lose what it loads later,
 * such as the code of a worker thread.
 */

/**
 * Makes node_modules what package-lock.json says.
 *
 * @param {string} root
 * @returns {boolean} false if it could not, with the reason said
 */
export function installPackages(root) {
  if (packagesAreCurrent(root)) return true;
  const users = processesUsing(join(root, 'node_modules'));
  if (users.length > 0) {
    say(
      `The packages are not those of package-lock.json, but farcopy runs from this folder (process ${users.join(', ')}).`,
    );
    say('Stop it first (its data is safe), then run this again.');
    return false;
  }
  say('Installing the packages of package-lock.json …');
  return run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: root });
}

/**
 * Is every package of the lock file installed as it says, and no other? npm notes what it installed in a hidden lock
 * file; packages for other systems are optional and absent.
 *
 * @param {string} root
 */
export function packagesAreCurrent(root) {
  const wanted = lockedPackages(join(root, 'package-lock.json'));
  const installed = lockedPackages(join(root, 'node_modules', '.package-lock.json'));
  if (wanted === null || installed === null) return false;
  const same = ([path, entry]) =>
    installed[path] === undefined
      ? entry.optional === true
      : installed[path].version === entry.version && installed[path].integrity === entry.integrity;
  return (
    Object.entries(wanted).every(same) && Object.keys(installed).every((path) => wanted[path] !== undefined)
  );
}

/** @param {string} file */
function lockedPackages(file) {
  if (!existsSync(file)) return null;
  try {
    const { '': _root, ...packages } = JSON.parse(readFileSync(file, 'utf8')).packages;
    return packages;
  } catch {
    return null;
  }
}

/**
 * Ids of processes that have a file of `folder` mapped, this one left out. Those of other users are not seen.
 *
 * @param {string} folder
 */
function processesUsing(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/maps`, 'utf8').includes(` ${folder}/`);
      } catch {
        return false;
      }
    });
}
