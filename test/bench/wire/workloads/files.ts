import { mkdir, readdir, readFile, rename, rm, writeFile, appendFile, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from '../../../support/program.js';
import type { Seeded } from '../../../support/seeded.js';
import { Prose } from '../prose.js';
import { makeStage, type Making, type Workload } from '../workload.js';

const KIB = 1 << 10;

/** Documents, tables, logs, and media that no compressor makes smaller: about 140 MB, or 25. */
async function fillServer(making: Making, folder: string, prose: Prose): Promise<void> {
  const { seeded, size } = making;
  const scale = size === 'full' ? 1 : 0.18;
  const names = (kind: string, count: number): string[] =>
    Array.from({ length: Math.ceil(count * scale) }, (_, i) => join(folder, kind, `${kind}-${i}`));
  for (const kind of ['document', 'table', 'log', 'medium']) await mkdir(join(folder, kind));
  for (const path of names('document', 600)) {
    await writeFile(path, prose.lines((4 + seeded.below(100)) * KIB));
  }
  for (const path of names('table', 40))
    await writeFile(path, table(seeded, prose, 2000 + seeded.below(6000)));
  for (const path of names('log', 10)) await writeFile(path, prose.log((500 + seeded.below(2500)) * KIB, 0));
  for (const path of names('medium', 30)) {
    await writeFile(path, seeded.bytes((1000 + seeded.below(3000)) * KIB));
  }
}

const table = (seeded: Seeded, prose: Prose, rows: number): string =>
  Array.from(
    { length: rows },
    (_, i) =>
      `${i};${prose.word()};${seeded.below(1e6)};${(seeded.fraction() * 1000).toFixed(2)};${prose.words(3)}`,
  ).join('\n');

/** A few lines are changed, put in and taken out, as somebody does who works on a text. */
function edit(seeded: Seeded, prose: Prose, text: string): string {
  const lines = text.split('\n');
  for (let i = 0; i < 6; i++) {
    const place = seeded.below(lines.length);
    const kind = seeded.below(3);
    if (kind === 0) lines.splice(place, 1, prose.words(8));
    else if (kind === 1) lines.splice(place, 0, ...prose.lines(300).split('\n'));
    else lines.splice(place, 1 + seeded.below(3));
  }
  return lines.join('\n');
}

async function fileServer(making: Making): Promise<void> {
  const { seeded } = making;
  const prose = new Prose(seeded);
  const stage = await makeStage(making);
  await fillServer(making, stage.folder, prose);
  await stage.capture(making.before);

  const some = async (kind: string, count: number): Promise<string[]> => {
    const names = await readdir(join(stage.folder, kind));
    return seeded
      .shuffle(names.sort())
      .slice(0, count)
      .map((name) => join(stage.folder, kind, name));
  };
  for (const [i, path] of [...(await some('document', 15)), ...(await some('table', 5))].entries()) {
    const edited = edit(seeded, prose, await readFile(path, 'utf8'));
    // Most programs write a new file and rename it; the others write over the old one.
    if (i % 3 === 0) {
      await writeFile(path, edited);
    } else {
      await writeFile(`${path}.new`, edited);
      await rename(`${path}.new`, path);
    }
  }
  for (const path of await some('log', 5)) await appendFile(path, prose.log(40 * KIB, 1_000_000));
  const [medium = ''] = await some('medium', 1);
  await copyFile(medium, join(stage.folder, 'medium', 'copy'));
  for (const path of await some('document', 10)) await rename(path, `${path}.old`);
  for (const path of await some('document', 10)) await rm(path);
  await stage.capture(making.after);
  await stage.unmount();
}

const PACKAGES = ['rsync', 'socat', 'tmux', 'jq', 'nano', 'sqlite3'];

async function packages(making: Making): Promise<void> {
  const stage = await makeStage(making);
  await fillServer(making, stage.folder, new Prose(making.seeded));
  const downloads = making.sandbox.path('packages');
  await mkdir(downloads);
  // apt's sandbox user cannot write here.
  const options = ['-q', '-o', 'APT::Sandbox::User=root'];
  await must('apt-get', [...options, 'download', ...PACKAGES], { cwd: downloads, timeoutMs: 300_000 });
  await stage.capture(making.before);
  for (const name of (await readdir(downloads)).sort()) {
    await must('dpkg', ['-x', join(downloads, name), stage.folder]);
  }
  await stage.capture(making.after);
  await stage.unmount();
}

export const fileWorkloads: readonly Workload[] = [
  {
    name: 'file-server',
    title: 'file server: 20 edits, logs appended, a file copied, renames, deletes',
    needs: ['mkfs.ext4'],
    make: fileServer,
  },
  {
    name: 'packages',
    title: 'six Debian packages unpacked',
    needs: ['mkfs.ext4', 'apt-get', 'dpkg'],
    make: packages,
  },
];
