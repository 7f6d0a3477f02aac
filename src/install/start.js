// `npm start`: from a fresh clone to the demo. Plain JavaScript, since nothing is built yet.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.js';
import { requireNode } from './node-version.js';
import { installPackages } from './packages.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

requireNode();
if (!installPackages(root) || !build(root)) process.exit(1);

const args = process.argv.slice(2);
const demo = spawn(
  process.execPath,
  [join(root, 'dist/src/cli/launch.cjs'), ...(args.length > 0 ? args : ['demo'])],
  {
    stdio: 'inherit',
  },
);
// A terminal sends SIGINT to both; a supervisor sends SIGTERM to this one only.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => demo.kill('SIGTERM'));
demo.on('exit', (code) => process.exit(code ?? 1));
