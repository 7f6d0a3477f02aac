import { expect } from 'chai';
import type { StateId } from '../../../protocol/units.js';
import { Volume } from '../../../src/engine/volume.js';
import { CrashFiles } from '../../support/crash-files.js';
import { Seeded } from '../../support/seeded.js';
import { VirtualClock } from '../../support/virtual-clock.js';
import { compareCopy, contentAt, expectReached, expectTurned } from './cut-copies.js';
import { contentOf, expectSame, pattern } from './engine-bench.js';

export const BLOCK = 512;
export const BLOCKS = 64;
const SIZE = BLOCK * BLOCKS;
const DEVICE = '/disk/image';
const FOLDER = '/disk/state';

interface Written {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** What may be on the disk, and what must be: all replaced, never changed, so that a fork keeps it as it was. */
interface Known {
  readonly current: Buffer;
  /** What the last flush has made safe, and what was written since it began. */
  readonly flushed: Buffer;
  readonly since: readonly Written[];
  readonly states: ReadonlyMap<StateId, Buffer>;
  readonly pins: Readonly<Record<string, StateId>>;
  /** Content of a state that is being sealed. */
  readonly sealing: Buffer | null;
  readonly isPinning: boolean;
}

/** By whom a state is pinned as it is sealed. */
const SEALED_FOR = [['next:vault'], ['next:vault'], ['next:vault', 'base:other'], []];

const ALL_DONE = { sealing: null, isPinning: false } as const;

/** A moment at which the machine may stop: its disks, and what is known of them. */
export interface Fork {
  readonly files: CrashFiles;
  readonly known: Known;
  readonly boot: number;
}

/** What a check has seen, so that a run can say that it was not empty. */
export interface Seen {
  forks: number;
  /** Cuts after which something was in doubt, but not everything; and everything. */
  narrow: number;
  whole: number;
  unavailable: number;
  /** Sets that were turned to a newer state on their way. */
  turned: number;
  /** Copies in doubt that were compared in a part, and as a whole. */
  comparedPart: number;
  comparedWhole: number;
}

/** A machine with one volume, a plain model beside it, and a way to take its disks at any operation. */
export class CutMachine {
  readonly #seeded: Seeded;
  readonly files: CrashFiles;
  readonly forks: Fork[] = [];
  readonly #clock = new VirtualClock();
  #volume: Volume | null = null;
  #known: Known;
  #background: Promise<unknown> = Promise.resolve();

  private constructor(
    files: (onOperation: () => void) => CrashFiles,
    known: Known,
    readonly boot: number,
    seed: number,
    /** 0 … 1: how many of its operations are taken as moments to stop at. */
    readonly share: number,
    readonly slots: number,
  ) {
    this.#seeded = new Seeded(seed);
    this.#known = known;
    this.files = files(() => {
      if (this.#seeded.fraction() < this.share) this.#fork();
    });
  }

  static async fresh(seed: number, share: number, slots: number): Promise<CutMachine> {
    const empty = Buffer.alloc(SIZE);
    const known: Known = {
      ...{ current: empty, flushed: empty, since: [], states: new Map(), pins: {} },
      ...ALL_DONE,
    };
    const make = (onOperation: () => void): CrashFiles => new CrashFiles({ onOperation });
    const machine = new CutMachine(make, known, 0, seed, 0, slots);
    const { files } = machine;
    await files.makeFolder('/disk');
    const device = await files.open(DEVICE, 'create');
    await device.truncate(SIZE);
    await device.sync();
    await device.close();
    await files.syncFolder('/disk');
    await machine.open();
    const begun = new CutMachine((take) => files.killed({ onOperation: take }), known, 0, seed, share, slots);
    await begun.open();
    await begun.#seal(['base:vault']);
    return begun;
  }

  /** A machine on the disks that were left. `cut`: the power went; else only the process was killed. */
  static after(
    { files, known, boot }: Fork,
    cut: number | null,
    seed: number,
    share: number,
    slots: number,
  ): CutMachine {
    const make = (onOperation: () => void): CrashFiles =>
      cut === null ? files.killed({ onOperation }) : files.powerCut(cut, { onOperation });
    return new CutMachine(make, known, cut === null ? boot : boot + 1, seed, share, slots);
  }

  get volume(): Volume {
    if (this.#volume === null) throw new Error('the volume is not open');
    return this.#volume;
  }

  async open(): Promise<void> {
    this.#volume = await Volume.open({
      name: 'ledger',
      device: DEVICE,
      blockSize: BLOCK,
      folder: FOLDER,
      beforeImageBudgetBytes: 1 << 30,
      files: this.files,
      clock: this.#clock,
      random: { bytes: (count) => this.#seeded.bytes(count) },
      bootId: `boot-${this.boot}`,
      doubtFolder: '/disk/notes',
      hotUnitBytes: 4 * BLOCK,
      hotSlots: this.slots,
    });
  }

  async step(): Promise<void> {
    const seeded = this.#seeded;
    const choice = seeded.below(100);
    if (choice < 45) return this.#writes();
    if (choice < 50) return this.#zero(seeded.chance(0.5));
    if (choice < 54) return this.#trim();
    if (choice < 66) return this.#flush();
    if (choice < 75) return this.#seal(seeded.pick(SEALED_FOR));
    if (choice < 80) return this.#depart();
    if (choice < 82) return this.#confirm();
    if (choice < 83) return this.#hearOfEarlier();
    if (choice < 84) return this.#unpin();
    if (choice < 92) return this.#cool();
    if (choice < 95) return this.volume.tidied();
    if (choice < 98) return this.#read();
    await this.#background;
    await this.volume.close();
    this.#learn({ flushed: this.#known.current, since: [] });
    await this.open();
  }

  /** Lets what runs in the background come to its end. */
  async rest(): Promise<void> {
    await this.#background;
    await this.volume.tidied();
  }

  /** Opens what was left and holds it against what is known. */
  async check(seen: Seen): Promise<void> {
    seen.forks++;
    await this.open();
    const found = Buffer.from(this.files.contentOf(DEVICE));
    const { volume } = this;
    const { flushed, since, sealing } = this.#known;
    for (let i = 0; i < SIZE; i++) {
      if (found[i] === flushed[i]) continue;
      const isWritten = since.some(({ at, bytes }) => i >= at && bytes[i - at] === found[i]);
      if (!isWritten) throw new Error(`byte ${i} of block ${Math.floor(i / BLOCK)} was flushed and is lost`);
    }
    const about = await volume.describe();
    if (sealing === null && !this.#known.isPinning) {
      expect(without(about.pins, 'check')).to.deep.equal(this.#known.pins);
    }
    const states = new Map(this.#known.states);
    for (const { id } of about.states) {
      if (states.has(id)) continue;
      if (sealing === null) throw new Error('a state that was never sealed');
      states.set(id, sealing);
    }
    this.#known = { ...this.#known, states, pins: about.pins, sealing: null, isPinning: false };
    for (const { id } of about.states) {
      const read = await contentOf(volume, id, BLOCK, SIZE).catch(forgotten);
      if (read === null) continue;
      expectSame(read.content, contentAt(states, id), 'a state', BLOCK, read.unavailable);
      seen.unavailable += read.unavailable.size;
    }
    if (about.warnings.length > 0 && about.dirtyBlocks < BLOCKS) seen.narrow++;
    else if (about.dirtyBlocks === BLOCKS) seen.whole++;
    this.#learn({ sealing: found });
    const now = await volume.seal({ grade: 'crash', pinAs: ['check'] });
    states.set(now.id, found);
    this.#known = { ...{ current: found, flushed: found, since: [], states }, ...ALL_DONE, pins: about.pins };
    const check = { volume, about, now, states, blockSize: BLOCK, seeded: this.#seeded };
    for (const owner of Object.keys(about.pins)) {
      // Of a check that was cut: it has just been moved.
      if (owner !== 'check') await expectReached(check, owner);
    }
    seen.turned += await expectTurned(check);
    this.#learn({ isPinning: true });
    const doubted = Object.keys(about.distrusted ?? {}).filter(
      (owner) => owner.startsWith('base:') && this.#seeded.chance(0.6),
    );
    if (doubted.includes('base:vault')) await this.#departAt(now.id);
    for (const owner of doubted) {
      if (await compareCopy(check, owner)) seen.comparedPart++;
      else seen.comparedWhole++;
    }
    await volume.unpin('check');
    this.#learn({ pins: without((await volume.describe()).pins, 'check'), isPinning: false });
  }

  #fork(): void {
    // Only what the disks are is copied; each check takes its own of what may be left of them.
    this.forks.push({ files: this.files.frozen(), known: this.#known, boot: this.boot });
  }

  #learn(change: Partial<Known>): void {
    this.#known = { ...this.#known, ...change };
  }

  async #writes(): Promise<void> {
    const seeded = this.#seeded;
    const size = seeded.pick([1, 1, 3, 24]) * BLOCK;
    // Apart, so that the order in which they come does not matter.
    const parts = seeded.chance(0.3) ? 3 : 1;
    const room = Math.floor(SIZE / parts);
    const writes = Array.from({ length: parts }, (_, part): Written => {
      const length = Math.max(1, Math.min(room, seeded.chance(0.5) ? size : seeded.below(size) + 1));
      const free = room - length + 1;
      const at = seeded.chance(0.5) ? seeded.below(free) : Math.floor(seeded.below(free) / BLOCK) * BLOCK;
      return { at: part * room + at, bytes: pattern(seeded.below(1 << 30), length) };
    });
    const isForced = seeded.chance(0.1);
    this.#learn({ since: [...this.#known.since, ...writes] });
    const { since } = this.#known;
    if (seeded.chance(0.5)) {
      this.volume.backend.announce(writes.map(({ at, bytes }) => ({ offset: at, length: bytes.byteLength })));
    }
    await Promise.all(
      writes.map(async ({ at, bytes }) => this.volume.backend.write(at, Buffer.from(bytes), isForced)),
    );
    const current = Buffer.from(this.#known.current);
    for (const { at, bytes } of writes) current.set(bytes, at);
    this.#learn({ current });
    if (isForced) this.#learn({ flushed: current, since: this.#known.since.slice(since.length) });
  }

  async #zero(noHole: boolean): Promise<void> {
    const { at, length } = this.#range();
    this.#learn({ since: [...this.#known.since, { at, bytes: new Uint8Array(length) }] });
    await this.volume.backend.writeZeroes(at, length, { noHole, fua: false });
    const current = Buffer.from(this.#known.current);
    this.#learn({ current: current.fill(0, at, at + length) });
  }

  async #trim(): Promise<void> {
    const { at, length } = this.#range();
    this.#learn({ since: [...this.#known.since, { at, bytes: new Uint8Array(length) }] });
    await this.volume.backend.trim(at, length, false);
    const current = Buffer.alloc(SIZE);
    await this.volume.backend.read(0, current);
    this.#learn({ current });
  }

  #range(): { at: number; length: number } {
    const at = this.#seeded.below(SIZE);
    return { at, length: Math.min(SIZE - at, this.#seeded.pick([100, BLOCK, 5 * BLOCK, 20 * BLOCK])) };
  }

  async #flush(): Promise<void> {
    const { current, since } = this.#known;
    await this.volume.backend.flush();
    this.#learn({ flushed: current, since: this.#known.since.slice(since.length) });
  }

  async #seal(pinAs: readonly string[]): Promise<void> {
    const { current, pins, states } = this.#known;
    this.#learn({ sealing: current });
    const { id } = await this.volume.seal({ grade: 'crash', pinAs });
    const moved = Object.fromEntries(pinAs.map((owner) => [owner, id]));
    this.#learn({ sealing: null, states: new Map([...states, [id, current]]), pins: { ...pins, ...moved } });
  }

  /** A state begins to travel, or takes the place of the one that does, as `replication/set-turning` moves the pins. */
  async #depart(): Promise<void> {
    const { 'next:vault': next, 'travel:vault': travelling } = this.#known.pins;
    if (next === undefined) return;
    await this.#movePins(async () => {
      const left = travelling === undefined ? null : await this.#ordinal(travelling);
      if (left !== null && travelling !== undefined) {
        await this.volume.pin(`earlier-${left}:vault`, travelling);
      }
      await this.volume.pin('travel:vault', next);
      await this.volume.unpin('next:vault');
    });
  }

  /** What was to travel gives way to a state that is to be compared: no set leads back from there. */
  async #departAt(state: StateId): Promise<void> {
    await this.volume.pin('travel:vault', state);
    await this.volume.unpin('next:vault');
    await this.#releaseEarlier(Infinity);
  }

  /** The backup holds what travels. */
  async #confirm(): Promise<void> {
    const { 'travel:vault': travelling } = this.#known.pins;
    if (travelling === undefined) return;
    await this.#movePins(async () => {
      await this.volume.pin('base:vault', travelling);
      await this.#releaseEarlier(Infinity);
      await this.volume.unpin('travel:vault');
    });
  }

  /** The backup has carried out a COMMIT of before a set was turned. */
  async #hearOfEarlier(): Promise<void> {
    const earlier = Object.keys(this.#known.pins).filter((owner) => owner.startsWith('earlier-'));
    if (earlier.length === 0) return;
    const owner = this.#seeded.pick(earlier);
    const state = this.#known.pins[owner];
    if (state === undefined) return;
    await this.#movePins(async () => {
      await this.volume.pin('base:vault', state);
      await this.#releaseEarlier(await this.#ordinal(state));
    });
  }

  /** Of what was turned only what is past a state of this ordinal stays. */
  async #releaseEarlier(ordinal: number): Promise<void> {
    for (const owner of Object.keys((await this.volume.describe()).pins)) {
      const turned = /^earlier-(\d+):/.exec(owner)?.[1];
      if (turned !== undefined && Number(turned) <= ordinal) await this.volume.unpin(owner);
    }
  }

  async #ordinal(id: StateId): Promise<number> {
    const state = (await this.volume.describe()).states.find((each) => each.id === id);
    if (state === undefined) throw new Error(`state ${id} is pinned and not known`);
    return state.ordinal;
  }

  /** Several pins, one after the other: cut in between, some have moved. */
  async #movePins(move: () => Promise<void>): Promise<void> {
    this.#learn({ isPinning: true });
    await move();
    this.#learn({ pins: (await this.volume.describe()).pins, isPinning: false });
  }

  #unpin(): Promise<void> {
    return this.#movePins(() => this.volume.unpin('base:other'));
  }

  /** Beside what comes next. */
  async #cool(): Promise<void> {
    await this.#background;
    this.#background = this.volume.cool();
  }

  async #read(): Promise<void> {
    const found = Buffer.alloc(SIZE);
    await this.volume.backend.read(0, found);
    expectSame(found, this.#known.current, 'the volume', BLOCK);
  }
}

const without = (pins: Known['pins'], owner: string): Known['pins'] =>
  Object.fromEntries(Object.entries(pins).filter(([other]) => other !== owner));

/** Merged away between the two calls. */
function forgotten(error: unknown): null {
  if ((error as { code?: string }).code === 'unknown-state') return null;
  throw error;
}
