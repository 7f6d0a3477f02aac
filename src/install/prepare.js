// npm's `prepare`: after every install the program is built, so that `npx farcopy` works.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.js';
import { say } from './run.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

if (!existsSync(join(root, 'node_modules/typescript'))) {
  say('Installed without the compiler: dist/ is left as it is.');
} else if (!build(root)) {
  process.exit(1);
}
