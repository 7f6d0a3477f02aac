import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run, say } from './run.js';

/** Programs the tests use farcopy with, and the Debian packages they come in. */
export const TEST_PACKAGES = {
  nbdkit: 'nbdkit',
  nbdinfo: 'libnbd-bin',
  nbdcopy: 'libnbd-bin',
  nbdfuse: 'nbdfuse',
  'qemu-io': 'qemu-utils',
  'qemu-img': 'qemu-utils',
  'qemu-nbd': 'qemu-utils',
  fio: 'fio',
  socat: 'socat',
  tmux: 'tmux',
  fusermount3: 'fuse3',
  'mkfs.ext4': 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  losetup: 'mount',
  sqlite3: 'sqlite3',
};

const FOLDERS = [...(process.env.PATH ?? '').split(':'), '/usr/local/sbin', '/usr/sbin', '/sbin'];

/**
 * Installs what programs come in where that is possible; else says what to do. Tests skip what is missing.
 *
 * @param {Readonly<Record<string, string>>} packageOf by program
 */
export function installDebianPackages(packageOf = TEST_PACKAGES) {
  const missing = missingPackages(packageOf);
  if (missing.length === 0) return;
  const canInstall = process.getuid?.() === 0 && isThere('apt-get');
  if (canInstall) {
    say(`Installing Debian packages: ${missing.join(' ')} …`);
    const options = { cwd: '/', env: { DEBIAN_FRONTEND: 'noninteractive' } };
    run('apt-get', ['update', '-q'], options);
    run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...missing], options);
  }
  const still = missingPackages(packageOf);
  if (still.length === 0) return;
  say(`Missing; what needs it is left out: ${still.join(' ')}`);
  if (!canInstall) say(`To have them: sudo apt-get update && sudo apt-get install -y ${still.join(' ')}`);
}

function missingPackages(packageOf) {
  const missing = Object.entries(packageOf).filter(([program]) => !isThere(program));
  return [...new Set(missing.map(([, name]) => name))];
}

const isThere = (program) => FOLDERS.some((folder) => folder !== '' && existsSync(join(folder, program)));
