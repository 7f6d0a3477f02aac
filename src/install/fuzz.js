// `npm run fuzz`: every fuzz test of all suites, a million hostile inputs each. FARCOPY_FUZZ_CASES says another number,
// SEED= repeats a run; arguments go to mocha.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.js';
import { requireNode } from './node-version.js';
import { installPackages } from './packages.js';
import { run, say } from './run.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

requireNode();
if (!installPackages(root) || !build(root)) process.exit(1);

const cases = process.env.FARCOPY_FUZZ_CASES ?? '1000000';
const folder = join(root, 'dist/test');
// A test that takes the number of cases imports it.
const files = readdirSync(folder, { recursive: true })
  .filter((path) => path.endsWith('.test.js'))
  .map((path) => join(folder, path))
  .filter((path) => readFileSync(path, 'utf8').includes('support/fuzz-cases.js'));
say(`${cases} cases for each fuzz test, in ${files.length} files …`);
const mocha = ['--enable-source-maps', join(root, 'node_modules/mocha/lib/cli/cli.js'), '--grep', 'fuzz'];
const env = { FARCOPY_FUZZ_CASES: cases };
const passed = run(process.execPath, [...mocha, ...files, ...process.argv.slice(2)], { cwd: root, env });
process.exit(passed ? 0 : 1);
