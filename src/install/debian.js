import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run, say } from './run.js';

/** Programs the tests use farcopy with, and the Debian packages they come in. */
const PACKAGE_OF = {
  nbdkit: 'nbdkit',
  nbdinfo: 'libnbd-bin',
  nbdcopy: 'libnbd-bin',
  nbdfuse: 'nbdfuse',
  'qemu-io': 'qemu-utils',
  'qemu-img': 'qemu-utils',
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

/** Installs the programs that the tests need where that is possible; else says what to do. Tests skip what is missing. */
export function installDebianPackages() {
  const missing = missingPackages();
  if (missing.length === 0) return;
  const canInstall = process.getuid?.() === 0 && isThere('apt-get');
  if (canInstall) {
    say(`Installing Debian packages: ${missing.join(' ')} …`);
    const options = { cwd: '/', env: { DEBIAN_FRONTEND: 'noninteractive' } };
    run('apt-get', ['update', '-q'], options);
    run('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...missing], options);
  }
  const still = missingPackages();
  if (still.length === 0) return;
  say(`Missing for some tests, which are skipped: ${still.join(' ')}`);
  if (!canInstall) say(`To have them: sudo apt-get update && sudo apt-get install -y ${still.join(' ')}`);
}

function missingPackages() {
  const missing = Object.entries(PACKAGE_OF).filter(([program]) => !isThere(program));
  return [...new Set(missing.map(([, name]) => name))];
}

const isThere = (program) => FOLDERS.some((folder) => folder !== '' && existsSync(join(folder, program)));
