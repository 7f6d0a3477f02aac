// `npm test`: everything from a fresh clone to one last line "N passed, N failed". Plain JavaScript, since nothing is
// built yet. Arguments go to mocha: `npm test -- --grep resume`. The suites run side by side, each in a process of its
// own; FARCOPY_TEST_JOBS says how many at once.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.js';
import { installDebianPackages } from './debian.js';
import { requireNode } from './node-version.js';
import { installPackages } from './packages.js';
import { say } from './run.js';
import { runSideBySide } from './side-by-side.js';
import { suitesBelow } from './suites.js';

/** The scenarios mostly wait for their lines. */
const JOBS = Number(process.env.FARCOPY_TEST_JOBS) || Math.min(8, 2 * availableParallelism());
/** For one suite; a soak takes hours. mocha has limits for each test: this one is for what mocha cannot end. */
const LIMIT_MS = process.env.FARCOPY_SOAK === '1' ? 6 * 3600_000 : 6 * 60_000;

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const tool = (path) => join(root, 'node_modules', path);

requireNode();
installDebianPackages();
const ready = installPackages(root) && build(root);
if (!ready) finish({ passed: 0, failed: 1, skipped: 0 });

const folder = mkdtempSync(join(tmpdir(), 'farcopy-test-'));
const countsOf = (name) => join(folder, `${name.replaceAll('/', '-')}.json`);
const checks = [
  { name: 'eslint', args: [tool('eslint/bin/eslint.js'), '.'] },
  { name: 'prettier', args: [tool('prettier/bin/prettier.cjs'), '--check', '--log-level=warn', '.'] },
];
const mocha = [
  '--enable-source-maps',
  tool('mocha/lib/cli/cli.js'),
  // What a test has left open must not keep the process.
  '--exit',
  '--reporter',
  join(root, 'src/install/counting-reporter.cjs'),
];
const suites = suitesBelow(join(root, 'dist/test')).map(({ name, alone, files }) => ({
  name,
  alone,
  args: [...mocha, ...files, ...process.argv.slice(2)],
  env: { FARCOPY_TEST_COUNTS: countsOf(name) },
}));
// The first of the suites wait a lot, the checks do not.
const jobs = [...suites.slice(0, 2), ...checks, ...suites.slice(2)];
say(`Running ${suites.length} suites and ${checks.length} checks, ${JOBS} at once …`);

const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
await runSideBySide(jobs, { atOnce: JOBS, limitMs: LIMIT_MS, cwd: root, folder, onEnd: take });
rmSync(folder, { recursive: true });
if (failures.length > 0) say(`\nFailed:\n${failures.map((failure) => `  ${failure}`).join('\n')}`);
finish(total);

/** Adds one job's result to the total and tells it. */
function take({ job, clean, late, seconds, output }) {
  const counts = readCounts(job.name);
  const { passed = 0, failed = 0, skipped = 0, titles = [] } = counts ?? {};
  failures.push(...titles.map((title) => `${job.name}: ${title}`));
  // Without a failed test it was the program itself that came to grief.
  const more = clean || failed > 0 ? 0 : 1;
  if (late) failures.push(`${job.name}: did not end within ${LIMIT_MS / 1000} s and was killed`);
  else if (more > 0) failures.push(`${job.name}: did not end cleanly, see its output`);
  total.passed += passed;
  total.failed += failed + more;
  total.skipped += skipped;
  const nothing = clean && counts !== undefined && passed + failed + skipped === 0;
  if (!nothing) process.stdout.write(`\n=== ${job.name} (${seconds} s)${clean ? '' : ' FAILED'}\n${output}`);
}

/** What the reporter noted; `undefined` for a check, or when mocha did not get to its end. */
function readCounts(name) {
  const file = countsOf(name);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/** Ends the process with the line that CI reads. */
function finish({ passed, failed, skipped }) {
  process.stdout.write(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
  process.exit(failed > 0 || passed === 0 ? 1 : 0);
}
