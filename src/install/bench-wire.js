// `npm run bench:wire`: installs what it compares with, builds, and runs the bench with the same arguments.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.js';
import { installDebianPackages, TEST_PACKAGES } from './debian.js';
import { requireNode } from './node-version.js';
import { installPackages } from './packages.js';

const WIRE_PACKAGES = {
  ...TEST_PACKAGES,
  rsync: 'rsync',
  rdiff: 'rdiff',
  xdelta3: 'xdelta3',
  zstd: 'zstd',
  borg: 'borgbackup',
  pgbench: 'postgresql',
  psql: 'postgresql',
  fuse2fs: 'fuse2fs',
  dpkg: 'dpkg',
};

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

requireNode();
installDebianPackages(WIRE_PACKAGES);
if (!installPackages(root) || !build(root)) process.exit(1);

const { status } = spawnSync(
  process.execPath,
  ['--enable-source-maps', join(root, 'dist/test/bench/wire/main.js'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(status ?? 1);
