import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { StateId } from '../../../protocol/units.js';
import type { Volume } from '../../../src/engine/volume.js';
import { contentOf, expectSame, gather, seededRandom } from './engine-bench.js';
import { KILL_BLOCK, KILL_REGION, KILL_SIZE, KILL_WRITERS, killWrite, openKilled } from './kill-writer.js';

const REGION_BYTES = KILL_REGION * KILL_BLOCK;

interface SealSeen {
  readonly acknowledgedBefore: readonly number[];
  issuedAfter: readonly number[] | null;
  state: StateId | null;
}

/** What a killed process had said by then: how many writes of each writer, and its seals. */
interface Seen {
  readonly issued: number[];
  readonly acknowledged: number[];
  readonly seals: SealSeen[];
}

describe('a process killed with kill -9', function () {
  this.timeout(300_000);
  const rounds = process.env['FARCOPY_SOAK'] === '1' ? 20 : 3;

  it(`loses no acknowledged write, no mark and no pinned state, ${rounds} times`, async () => {
    const random = seededRandom('kill -9');
    const root = fs.mkdtempSync(join(tmpdir(), 'farcopy-kill-'));
    const [image, folder] = [join(root, 'image'), join(root, 'state')];
    fs.writeFileSync(image, Buffer.alloc(KILL_SIZE));
    const known = new Map<StateId, Buffer>();
    try {
      for (let round = 0; round < rounds; round++) {
        const seed = random.below(1e6);
        const base = fs.readFileSync(image);
        const seen = await runAndKill(image, folder, seed, 20 + random.below(400));
        const volume = await openKilled(image, folder);
        try {
          checkDevice(fs.readFileSync(image), base, seen, seed);
          await checkStates(volume, base, seen, seed, known);
          await checkOpenEpoch(volume, fs.readFileSync(image), known);
        } finally {
          await volume.close();
        }
        console.log(
          `      round ${round}: ${sum(seen.acknowledged)} writes, ${seen.seals.length} seals, ${known.size} states checked`,
        );
      }
    } finally {
      fs.rmSync(root, { recursive: true, force: true });
    }
  });
});

async function runAndKill(image: string, folder: string, seed: number, afterMs: number): Promise<Seen> {
  const script = fileURLToPath(new URL('./kill-writer.js', import.meta.url));
  const child = spawn(process.execPath, [script, image, folder, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const seen: Seen = {
    issued: new Array<number>(KILL_WRITERS).fill(0),
    acknowledged: new Array<number>(KILL_WRITERS).fill(0),
    seals: [],
  };
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    if (line === 'ready') setTimeout(() => child.kill('SIGKILL'), afterMs);
    else take(line, seen);
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).to.equal(null, 'killed, not ended by itself');
  if (child.stdout.readableEnded) return seen;
  await once(lines, 'close');
  return seen;
}

function take(line: string, seen: Seen): void {
  const [kind, first, second] = line.split(' ');
  const number = Number(first);
  if (kind === 'i') seen.issued[number] = Number(second) + 1;
  else if (kind === 'a') seen.acknowledged[number] = Number(second) + 1;
  else if (kind === 'S') {
    seen.seals[number] = { acknowledgedBefore: [...seen.acknowledged], issuedAfter: null, state: null };
  } else if (kind === 'T') {
    const seal = seen.seals[number];
    if (seal === undefined) throw new Error('a seal ended that never began');
    seal.issuedAfter = [...seen.issued];
    seal.state = second as StateId;
  }
}

/** The region of a writer after its first `count` writes. */
function* replay(base: Buffer, writer: number, seed: number): Generator<Buffer> {
  const region = Buffer.from(base.subarray(writer * REGION_BYTES, (writer + 1) * REGION_BYTES));
  for (let number = 0; ; number++) {
    yield region;
    apply(region, killWrite(seed, writer, number));
  }
}

function apply(region: Buffer, { offset, length, bytes }: ReturnType<typeof killWrite>): void {
  if (bytes === null) region.fill(0, offset, offset + length);
  else region.set(bytes, offset);
}

/** All acknowledged writes are there; only the one that was under way may be there in part. */
function checkDevice(found: Buffer, base: Buffer, seen: Seen, seed: number): void {
  for (let writer = 0; writer < KILL_WRITERS; writer++) {
    const count = seen.acknowledged[writer] ?? 0;
    const wanted = at(replay(base, writer, seed), count);
    const region = Buffer.from(found.subarray(writer * REGION_BYTES, (writer + 1) * REGION_BYTES));
    if ((seen.issued[writer] ?? 0) > count) {
      const underWay = killWrite(seed, writer, count);
      const end = underWay.offset + underWay.length;
      region.set(wanted.subarray(underWay.offset, end), underWay.offset);
    }
    expectSame(region, wanted, `writer ${writer} after ${count} writes`, KILL_BLOCK);
  }
}

/** Every state that was told of and is pinned reads as it was at one instant of its seal; older ones as before. */
async function checkStates(
  volume: Volume,
  base: Buffer,
  seen: Seen,
  seed: number,
  known: Map<StateId, Buffer>,
): Promise<void> {
  const { pins, states } = await volume.describe();
  const pinned = new Set(Object.values(pins));
  for (const id of [...known.keys()]) if (!pinned.has(id)) known.delete(id);
  for (const [id, wanted] of known) {
    expect(states.some((state) => state.id === id)).to.equal(true);
    expectSame(await whole(volume, id), wanted, 'an older state', KILL_BLOCK);
  }
  for (const seal of seen.seals) {
    if (seal.state === null || seal.issuedAfter === null || !pinned.has(seal.state)) continue;
    const content = await whole(volume, seal.state);
    for (let writer = 0; writer < KILL_WRITERS; writer++) {
      const found = content.subarray(writer * REGION_BYTES, (writer + 1) * REGION_BYTES);
      const [least, most] = [seal.acknowledgedBefore[writer] ?? 0, seal.issuedAfter[writer] ?? 0];
      let count = 0;
      let isFound = false;
      for (const region of replay(base, writer, seed)) {
        if (count >= least && region.equals(found)) isFound = true;
        if (isFound || ++count > most) break;
      }
      if (!isFound) throw new Error(`writer ${writer} is at no instant from ${least} to ${most}`);
    }
    known.set(seal.state, content);
  }
  // The state sealed last may have been killed between its record and its line.
  const last = pins['last'];
  if (last !== undefined && !known.has(last)) known.set(last, await whole(volume, last));
}

/** From the last state to one sealed now: the marks lead exactly to what the device holds. */
async function checkOpenEpoch(volume: Volume, device: Buffer, known: Map<StateId, Buffer>): Promise<void> {
  const { lastState } = await volume.describe();
  const now = await volume.seal({ grade: 'crash', pinAs: ['check'] });
  expectSame(await whole(volume, now.id), device, 'the state sealed after the kill', KILL_BLOCK);
  for (const from of known.keys()) {
    if (from !== lastState?.id && known.size > 3) continue;
    const applied = Buffer.from(known.get(from) ?? []);
    const set = await gather(volume, { from, to: now.id }, KILL_BLOCK);
    expect(set.unavailable.size).to.equal(0);
    for (const [block, bytes] of set.blocks)
      applied.set(bytes ?? Buffer.alloc(KILL_BLOCK), block * KILL_BLOCK);
    expectSame(applied, device, 'the set since the last state', KILL_BLOCK);
  }
}

async function whole(volume: Volume, state: StateId): Promise<Buffer> {
  const { content, unavailable } = await contentOf(volume, state, KILL_BLOCK, KILL_SIZE);
  expect(unavailable.size).to.equal(0);
  return content;
}

function at(steps: Generator<Buffer>, count: number): Buffer {
  let step = steps.next();
  for (let i = 0; i < count; i++) step = steps.next();
  return step.value as Buffer;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
