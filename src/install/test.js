// `npm test`: everything from a fresh clone to one last line "N passed, N failed". Plain JavaScript, since nothing is
// built yet. Arguments go to mocha: `npm test -- --grep resume`.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.js';
import { installDebianPackages } from './debian.js';
import { requireNode } from './node-version.js';
import { installPackages } from './packages.js';
import { run, say } from './run.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const tool = (path, args, env) =>
  run(process.execPath, [join(root, 'node_modules', path), ...args], { cwd: root, env });

requireNode();
installDebianPackages();
const ready = installPackages(root) && build(root);
if (!ready) finish(0, 1, 0);

const failedChecks = [
  ['eslint', () => tool('eslint/bin/eslint.js', ['.'])],
  ['prettier', () => tool('prettier/bin/prettier.cjs', ['--check', '--log-level=warn', '.'])],
].filter(([name, check]) => {
  say(`Checking with ${name} …`);
  return !check();
});

const folder = mkdtempSync(join(tmpdir(), 'farcopy-test-'));
const countsFile = join(folder, 'counts.json');
const specs = join(root, 'dist/test/**/*.test.js');
const reporter = join(root, 'src/install/counting-reporter.cjs');
const clean = tool('mocha/bin/mocha.js', ['--reporter', reporter, specs, ...process.argv.slice(2)], {
  FARCOPY_TEST_COUNTS: countsFile,
});
// Without counts mocha itself came to grief.
const { passed, failed, skipped } = existsSync(countsFile)
  ? JSON.parse(readFileSync(countsFile, 'utf8'))
  : { passed: 0, failed: 1, skipped: 0 };
rmSync(folder, { recursive: true });

for (const [name] of failedChecks) say(`failed: ${name}`);
finish(passed, Math.max(failed, clean ? 0 : 1) + failedChecks.length, skipped);

/** Ends the process with the line that CI reads. */
function finish(passed, failed, skipped) {
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  process.exit(failed > 0 || passed === 0 ? 1 : 0);
}
