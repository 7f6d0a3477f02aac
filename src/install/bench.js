// `npm run bench`: what farcopy's volumes cost, beside the NBD servers people know. Arguments go to test/bench/main.ts:
// --only NAME,… --rounds N --seconds S --json.
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.js';
import { installDebianPackages } from './debian.js';
import { requireNode } from './node-version.js';
import { installPackages } from './packages.js';
import { run } from './run.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

requireNode();
installDebianPackages();
if (!installPackages(root) || !build(root)) process.exit(1);
const measured = run(process.execPath, [join(root, 'dist/test/bench/main.js'), ...process.argv.slice(2)], {
  cwd: root,
});
process.exit(measured ? 0 : 1);
