import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Those that take longest begin first, so that none is left over at the end; some compute and some wait. */
const LONGEST = [
  'scenarios/killed-while-writing',
  'scenarios/ext4-over-a-serial-line',
  'scenarios/bad-input',
  'scenarios/power-cut-on-ext4',
  'src/engine',
  'scenarios/compare',
  'src/store',
  'scenarios/consistency-policy',
  'scenarios/demo',
  'src/replication',
  'scenarios/dial-up',
  'scenarios/terminal',
  'src/cli',
];
/** Suites that measure time and memory of a process against a limit: nothing else runs beside them. */
const ALONE = ['scenarios/a-tebibyte-volume'];

/**
 * The suites below `folder` (`dist/test`), in the order in which they should begin: a scenario, a layer of src, or a
 * folder. Each runs in a process of its own.
 *
 * @param {string} folder
 * @returns {{ name: string, alone: boolean, files: string[] }[]}
 */
export function suitesBelow(folder) {
  const suites = new Map();
  const paths = readdirSync(folder, { recursive: true }).filter((path) => path.endsWith('.test.js'));
  for (const path of paths.sort()) {
    const name = suiteOf(path);
    if (!suites.has(name)) suites.set(name, { name, alone: ALONE.includes(name), files: [] });
    suites.get(name).files.push(join(folder, path));
  }
  return [...suites.values()].sort((a, b) => rank(a.name) - rank(b.name));
}

function suiteOf(path) {
  const [folder, next = ''] = path.split('/');
  if (folder === 'scenarios') return `${folder}/${next.replace('.test.js', '')}`;
  return folder === 'src' ? `${folder}/${next}` : folder;
}

function rank(name) {
  const place = LONGEST.indexOf(name);
  return place < 0 ? LONGEST.length : place;
}
