import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { run, say } from './run.js';

const SOURCE_FOLDERS = ['src', 'protocol', 'tui', 'test'];
/** What the next build is compared with: the sources of the last one that succeeded. */
const STAMP = 'dist/.built';
/** The program of `npx farcopy`. */
const PROGRAM = 'dist/src/cli/launch.cjs';

/**
 * Compiles into dist/ if a source has changed since the last build that succeeded.
 *
 * @param {string} root
 * @returns {boolean} whether dist/ is up to date
 */
export function build(root) {
  const sources = sourcesOf(root);
  const state = JSON.stringify(sources);
  if (!existsSync(join(root, STAMP)) || readFileSync(join(root, STAMP), 'utf8') !== state) {
    say('Building …');
    rmSync(join(root, STAMP), { force: true });
    // The incremental state would call a dist/ that somebody emptied up to date.
    if (!existsSync(join(root, PROGRAM))) rmSync(join(root, 'dist/.tsbuildinfo'), { force: true });
    if (!run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')], { cwd: root })) return false;
    removeOrphans(root, sources);
    writeFileSync(join(root, STAMP), state);
  }
  linkProgram(root);
  return true;
}

/** Path and time of change of everything the compiler reads. */
function sourcesOf(root) {
  const files = [
    'tsconfig.json',
    'package-lock.json',
    ...SOURCE_FOLDERS.flatMap((folder) => filesBelow(root, folder)),
  ];
  return Object.fromEntries(files.sort().map((file) => [file, statSync(join(root, file)).mtimeMs]));
}

function filesBelow(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.c?ts$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
}

/** The compiler leaves the output of a source that is gone, and mocha would go on running it. */
function removeOrphans(root, sources) {
  const dist = join(root, 'dist');
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const source = path.slice(dist.length + 1).replace(/\.(c?)js(\.map)?$/, '.$1ts');
    if (entry.isFile() && /\.c?js(\.map)?$/.test(path) && !(source in sources)) rmSync(path);
  }
}

/**
 * Makes `npx farcopy` work. As a `bin` of package.json npx would first install this folder into its cache: seconds, and
 * a race when two appliances are started at once.
 */
function linkProgram(root) {
  chmodSync(join(root, PROGRAM), 0o755);
  const folder = join(root, 'node_modules/.bin');
  const link = join(folder, 'farcopy');
  if (lstatSync(link, { throwIfNoEntry: false }) !== undefined) return;
  mkdirSync(folder, { recursive: true });
  symlinkSync(`../../${PROGRAM}`, link);
}
