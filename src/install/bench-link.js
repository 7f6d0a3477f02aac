// `npm run bench:link`: installs what it compares with when it is asked for (`--rivals`), builds, and runs the bench with the
// same arguments.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.js';
import { installDebianPackages, TEST_PACKAGES } from './debian.js';
import { requireNode } from './node-version.js';
import { installPackages } from './packages.js';

const RIVAL_PACKAGES = { sz: 'lrzsz', rz: 'lrzsz', uucico: 'uucp', uucp: 'uucp', kermit: 'ckermit' };

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const args = process.argv.slice(2);

requireNode();
installDebianPackages(args.includes('--rivals') ? { ...TEST_PACKAGES, ...RIVAL_PACKAGES } : TEST_PACKAGES);
if (!installPackages(root) || !build(root)) process.exit(1);

const bench = join(root, 'dist/test/bench/link/bench.js');
const { status } = spawnSync(process.execPath, ['--enable-source-maps', bench, ...args], {
  stdio: 'inherit',
});
process.exit(status ?? 1);
