import { expect } from 'chai';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StateId } from '../../../protocol/units.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { Store } from '../../../src/store/store.js';
import { Seeded } from '../../support/seeded.js';
import { MadeVolume, readAll, send, steppingClock, transfer } from './made-sets.js';

/** `fixtures/stores/v<N>/`: a store as format version N left it, and what it must read as. */
interface Expected {
  /** SHA-256 of each state of `branch/ledger`, newest first. */
  readonly points: readonly { readonly state: StateId; readonly sha256: string }[];
  /** Bytes held of each parcel of the set that `ship/log` is capturing. */
  readonly held: readonly number[];
}

const FIXTURES = fileURLToPath(new URL('../../../../fixtures/stores', import.meta.url));

const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');
const open = (folder: string): Promise<Store> =>
  Store.open({ folder, files: nodeFiles, clock: steppingClock(), random: new Seeded(1) });

async function read(store: Store): Promise<Expected> {
  const copy = await store.volume('branch', 'ledger');
  const points = [];
  for (const { state } of copy.points()) {
    const reader = await copy.openState(state.id);
    points.push({ state: state.id, sha256: sha256(await readAll(reader)) });
    await reader.close();
  }
  const capture = (await store.volume('ship', 'log')).status().capture;
  const held = (capture?.parcels ?? []).map((parcel) =>
    parcel.held.reduce((sum, { start, end }) => sum + end - start, 0),
  );
  return { points, held };
}

/** Writes the fixture of the present format; run once for each new version, with FARCOPY_WRITE_FIXTURE=<version>. */
async function writeFixture(version: string): Promise<void> {
  const folder = join(FIXTURES, `v${version}`);
  mkdirSync(folder, { recursive: true });
  const seeded = new Seeded(Number(version));
  const store = await open(join(folder, 'store'));
  const ledger = new MadeVolume(seeded, 512, 24);
  for (let i = 0; i < 4; i++) {
    const set = ledger.makeSet();
    await transfer(await store.volume('branch', 'ledger'), set, seeded);
    ledger.accept(set);
  }
  // A set that is durable and not yet applied, and one that is still arriving.
  const last = ledger.makeSet();
  await send(await store.volume('branch', 'ledger'), last, seeded);
  await (await store.volume('branch', 'ledger')).commit(last.order, last.digest);
  ledger.accept(last);
  const log = new MadeVolume(seeded, 512, 24);
  const arriving = log.makeSet();
  const copy = await store.volume('ship', 'log');
  await copy.begin(arriving.offer);
  for (const [i, { announcement, encoded }] of arriving.parcels.entries()) {
    await copy.announce(announcement);
    await copy.append(announcement.id, 0, i === 0 ? encoded : encoded.subarray(0, encoded.byteLength / 2));
  }
  await store.close();
  rmSync(join(folder, 'store', 'lock'));
  const points = ledger.states
    .map(({ info, content }) => ({ state: info.id, sha256: sha256(content) }))
    .reverse();
  const held = arriving.parcels.map(({ encoded }, i) =>
    i === 0 ? encoded.byteLength : Math.floor(encoded.byteLength / 2),
  );
  writeFileSync(join(folder, 'expected.json'), `${JSON.stringify({ points, held }, null, 2)}\n`);
}

describe('stores of every format version', () => {
  const version = process.env['FARCOPY_WRITE_FIXTURE'];
  if (version !== undefined) it(`writes version ${version}`, () => writeFixture(version));

  for (const name of existsSync(FIXTURES) ? readdirSync(FIXTURES) : []) {
    it(`${name} is opened, its durable set applied, and every state read`, async () => {
      const expected = JSON.parse(readFileSync(join(FIXTURES, name, 'expected.json'), 'utf8')) as Expected;
      const folder = mkdtempSync(join(tmpdir(), 'farcopy-format-'));
      try {
        cpSync(join(FIXTURES, name, 'store'), folder, { recursive: true });
        const store = await open(folder);
        expect(await read(store)).to.deep.equal(expected);
        await store.close();
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }
});
