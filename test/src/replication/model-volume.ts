import {
  blockIndex,
  byteCount,
  stateId,
  volumeId,
  wallTime,
  type BlockIndex,
  type StateId,
} from '../../../protocol/units.js';
import { scanNodes, type Scanned } from '../../../protocol/compare/scan.js';
import { RangeSet, type Range } from '../../../protocol/ranges.js';
import type { StateInfo } from '../../../protocol/state.js';
import type {
  BaseBlocks,
  BaseRequest,
  BlockRun,
  Collected,
  CollectRequest,
  CompareFinding,
  DigestRequest,
  GroupAnswer,
  SealAttempt,
  SealRequest,
  SetBounds,
  SetPartBounds,
  VolumeDescription,
  VolumeService,
} from '../../../src/engine/volume-service.js';
import type { Clock } from '../../../src/platform/clock.js';
import { randomId } from '../../../src/platform/random.js';
import type { Seeded } from '../../support/seeded.js';

export const BLOCK = 4096;
/** Blocks in one extent of the hot log. */
const EXTENT = 8;
/** Blocks looked at in one call of `collect`: a stretch of zeros is longer. */
const LOOKED_AT = 24;

/**
 * A volume as plain bytes, with the contract of the engine's at its strictest: a state that no pin holds is gone at
 * once.
 */
export class ModelVolume implements VolumeService {
  readonly id;
  /** Every state there ever was. */
  readonly history = new Map<StateId, Uint8Array>();
  readonly #states: StateInfo[] = [];
  readonly #pins: Record<string, StateId> = {};
  readonly #spoiled = new Set<StateId>();
  /** By owner. */
  readonly #compared = new Map<string, CompareFinding>();
  /** Ordinals of the states before which something went unnoticed, and the blocks where; null: anywhere. */
  readonly #doubts: { readonly ordinal: number; readonly within: Range | null }[] = [];
  /** Blocks that were read for digests. */
  readonly digested = new Set<number>();
  /** The blocks that are marked as written before each state, by its ordinal and after the one before it. */
  readonly #marks: Set<number>[] = [];
  /** Blocks of which it believes that a far copy's state held this. */
  readonly misremembered = new Map<number, Uint8Array>();
  content: Uint8Array;
  #ordinal = 0;
  seals = 0;
  /** Absent: all states are long past. */
  clock: Clock | null = null;
  /** No snapshot keeps its blocks, as with no room for before-images at all. */
  spoilsEverything = false;

  constructor(
    readonly seeded: Seeded,
    readonly name: string,
    blocks: number,
  ) {
    this.id = volumeId(randomId(seeded));
    this.content = new Uint8Array(blocks * BLOCK);
  }

  get blocks(): number {
    return this.content.byteLength / BLOCK;
  }

  write(block: number, bytes: Uint8Array): void {
    this.content.set(bytes, block * BLOCK);
    (this.#marks[this.#ordinal] ??= new Set()).add(block);
  }

  /** A write whose mark is lost, if it ever had one: no set across it has the block, until a compare has found it. */
  lose(block: number, bytes: Uint8Array = this.seeded.bytes(BLOCK)): void {
    this.content.set(bytes, block * BLOCK);
    this.#marks[this.#ordinal]?.delete(block);
  }

  /** Behind the volume's back. */
  scribble(block: number, bytes: Uint8Array): void {
    this.lose(block, bytes);
    this.doubt();
  }

  /** A write that a power cut has left without a mark; its extent is in doubt. */
  tear(block: number, bytes: Uint8Array): Range {
    this.lose(block, bytes);
    const start = Math.floor(block / EXTENT) * EXTENT;
    const within = { start, end: Math.min(this.blocks, start + EXTENT) };
    this.doubt(this.#ordinal, within);
    return within;
  }

  /** As a volume's state has them, newest first. */
  openings: readonly string[] = ['0000000000000001'];

  /** Something went unnoticed before the state of this ordinal. */
  doubt(ordinal = this.#ordinal, within: Range | null = null): void {
    this.#doubts.push({ ordinal, within });
  }

  #doubtsOf(owner: string, id: StateId): { readonly ordinal: number; readonly within: Range | null }[] {
    const held = this.#compared.get(owner)?.like ?? id;
    const from = this.#states.find((state) => state.id === held)?.ordinal ?? 0;
    return this.#doubts.filter(({ ordinal }) => ordinal > from);
  }

  #distrusted(): Pick<Required<VolumeDescription>, 'distrusted' | 'inDoubt'> {
    const distrusted: Record<string, number> = {};
    const inDoubt: Record<string, readonly Range[]> = {};
    for (const [owner, id] of Object.entries(this.#pins)) {
      const doubts = this.#doubtsOf(owner, id);
      if (doubts.length === 0) continue;
      distrusted[owner] = Math.min(...doubts.map(({ ordinal }) => ordinal));
      const within = new RangeSet(doubts.flatMap((doubt) => doubt.within ?? []));
      if (doubts.every((doubt) => doubt.within !== null)) inDoubt[owner] = within.ranges;
    }
    return { distrusted, inDoubt };
  }

  grow(blocks: number): void {
    const grown = new Uint8Array(this.content.byteLength + blocks * BLOCK);
    grown.set(this.content);
    this.content = grown;
  }

  /** A block of this state can no longer be told. */
  spoil(state: StateId): void {
    this.#spoiled.add(state);
  }

  /** As if the state folder were one of before all snapshots: the volume's id stays, nothing else does. */
  forgetAll(): void {
    this.#states.splice(0);
    this.#compared.clear();
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
    for (const owner of Object.keys(this.#pins)) delete this.#pins[owner];
  }

  get pins(): Readonly<Record<string, StateId>> {
    return this.#pins;
  }

  describe(): Promise<VolumeDescription> {
    return Promise.resolve({
      id: this.id,
      name: this.name,
      sizeBytes: byteCount(this.content.byteLength),
      blockSize: BLOCK,
      states: [...[...this.#compared.values()].map(({ state }) => state), ...this.#states],
      ...this.#distrusted(),
      distrustedFor: Object.fromEntries(Object.keys(this.#pins).map((owner) => [owner, 'a power cut'])),
      lastState: this.#states.at(-1) ?? null,
      pins: { ...this.#pins },
      dirtyBlocks: 0,
      beforeImageBytes: 0,
      warnings: [],
      connectedClients: 0,
      openings: [...this.openings],
    });
  }

  seal({ grade, pinAs }: SealRequest): Promise<StateInfo> {
    const state: StateInfo = {
      id: stateId(randomId(this.seeded)),
      parent: this.#states.at(-1)?.id ?? null,
      ordinal: this.#ordinal++,
      time: this.clock?.wall() ?? wallTime(1_600_000_000_000 + this.#ordinal),
      grade,
      size: byteCount(this.content.byteLength),
    };
    this.seals++;
    this.history.set(state.id, this.content.slice());
    this.#states.push(state);
    for (const owner of pinAs) this.#pins[owner] = state.id;
    this.#forget();
    return Promise.resolve(state);
  }

  groupStep(): Promise<GroupAnswer> {
    return Promise.reject(new Error('a model volume is in no group'));
  }

  async sealIf(request: SealRequest): Promise<SealAttempt> {
    return { kind: 'sealed', state: await this.seal(request) };
  }

  pin(owner: string, state: StateId): Promise<void> {
    if (this.#compared.get(owner)?.state.id !== state) {
      if (!this.#states.some(({ id }) => id === state)) return unknown(state);
      this.#compared.delete(owner);
    }
    this.#pins[owner] = state;
    this.#forget();
    return Promise.resolve();
  }

  unpin(owner: string): Promise<void> {
    // eslint-disable-next-line @typescript-eslint/no-dynamic-delete
    delete this.#pins[owner];
    this.#compared.delete(owner);
    this.#forget();
    return Promise.resolve();
  }

  countChanges({ within, ...asked }: SetPartBounds): Promise<number> {
    const set = sinceThen(asked);
    const bounds = this.#bounds(set);
    if (bounds === null) return unknown(set.from ?? set.to);
    const { start, end } = within ?? { start: 0, end: Infinity };
    return Promise.resolve(
      this.#changed(bounds, set).filter((block) => block >= start && block < end).length,
    );
  }

  async collect(request: CollectRequest): Promise<Collected> {
    const set = sinceThen(request);
    const bounds = this.#bounds(set);
    if (bounds === null) return unknown(set.from ?? set.to);
    const last = Math.min(request.cursor + LOOKED_AT, bounds.to.byteLength / BLOCK);
    const changed = this.#changed(bounds, set).filter(
      (block) => block >= request.cursor && block < (request.end ?? Infinity),
    );
    const room = Math.max(1, Math.floor(request.maxContentBytes / BLOCK));
    const taken = changed.filter((block) => block < last).slice(0, room);
    const end = taken.length === room ? (taken.at(-1) ?? 0) + 1 : last;
    const isOver = !changed.some((block) => block >= end);
    const runs: { start: BlockIndex; count: number; zero: boolean }[] = [];
    const content: Uint8Array[] = [];
    for (const block of taken) {
      const bytes = blockOf(bounds.to, block);
      const zero = isZero(bytes);
      const run = runs.at(-1);
      if (run?.zero === zero && run.start + run.count === block) run.count++;
      else runs.push({ start: blockIndex(block), count: 1, zero });
      if (!zero) content.push(bytes);
    }
    const all: readonly BlockRun[] = runs;
    const { from, by } = request;
    const told = runs.flatMap(({ start, count, zero }) => (zero ? [] : [{ start, count }]));
    const before =
      from === null
        ? null
        : await this.readBase({ state: from, runs: told, ...(by !== undefined && { by }) });
    return Promise.resolve({
      runs: all,
      content: new Uint8Array(Buffer.concat(content)),
      before,
      next: isOver ? null : blockIndex(end),
      unavailable: this.spoilsEverything || this.#spoiled.has(request.to) ? [blockIndex(0)] : [],
    });
  }

  readBase({ state, by, runs }: BaseRequest): Promise<BaseBlocks> {
    const found = this.#found({ from: state, to: state, ...(by !== undefined && { by }) });
    const like = found?.like ?? state;
    const content = this.#states.some(({ id }) => id === like) ? this.history.get(like) : undefined;
    if (content === undefined) return unknown(like);
    const blocks = runs.flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => start + i));
    const isKnown = (block: number): boolean =>
      !isIn(block, found) && (block + 1) * BLOCK <= content.byteLength;
    const known = blocks.map((block) => (isKnown(block) ? 1 : 0));
    const lies = by === undefined ? new Map<number, Uint8Array>() : this.misremembered;
    const read = blocks.map((block) =>
      isKnown(block) ? (lies.get(block) ?? blockOf(content, block)) : new Uint8Array(BLOCK),
    );
    return Promise.resolve({ content: new Uint8Array(Buffer.concat(read)), known: Uint8Array.from(known) });
  }

  digests({ state, ...request }: DigestRequest): Promise<Scanned> {
    const content = this.#states.some(({ id }) => id === state) ? this.history.get(state) : undefined;
    if (content === undefined) return unknown(state);
    const blocks = content.byteLength / BLOCK;
    return scanNodes(
      {
        blockSize: BLOCK,
        blocks,
        next: (from, limit) => Promise.resolve(from < limit ? { start: from, end: limit } : null),
        read: (start, count) => {
          for (let block = start; block < start + count; block++) this.digested.add(block);
          return Promise.resolve(
            this.#spoiled.has(state) ? null : content.subarray(start * BLOCK, (start + count) * BLOCK),
          );
        },
      },
      request,
    );
  }

  compared(finding: CompareFinding): Promise<void> {
    if (!this.#states.some(({ id }) => id === finding.like)) return unknown(finding.like);
    this.#compared.set(
      finding.owner,
      finding.within === undefined ? finding : this.#widened(finding, finding.within),
    );
    this.#pins[finding.owner] = finding.state.id;
    this.#forget();
    return Promise.resolve();
  }

  /** Outside of what was compared, what is known to have changed differs too. */
  #widened(finding: CompareFinding, within: readonly Range[]): CompareFinding {
    const { owner, state, like } = finding;
    const covered = new RangeSet(within);
    const set = { from: state.id, to: like, by: owner };
    const bounds = this.#bounds(set);
    if (bounds === null || this.#pins[owner] !== state.id) throw new Error('a part of no base was compared');
    const last = this.#states.find(({ id }) => id === like)?.ordinal ?? 0;
    for (const doubt of this.#doubtsOf(owner, state.id)) {
      if (doubt.ordinal > last) continue;
      const { start, end } = doubt.within ?? { start: 0, end: this.blocks };
      if (!covered.covers(start, Math.min(end, bounds.to.byteLength / BLOCK))) {
        throw new Error('what is in doubt was not compared');
      }
    }
    const differing = new RangeSet(finding.differing);
    for (const block of this.#changed(bounds, set)) {
      if (!covered.intersects(block, block + 1)) differing.add(block, block + 1);
    }
    return { ...finding, differing: differing.ranges };
  }

  #changed(bounds: { from: Uint8Array | null; to: Uint8Array }, set: SetBounds): number[] {
    const found = this.#found(set);
    const ordinal = (id: StateId): number => this.#states.find((state) => state.id === id)?.ordinal ?? 0;
    const marks =
      set.from === null ? [] : this.#marks.slice(ordinal(found?.like ?? set.from) + 1, ordinal(set.to) + 1);
    const isMarked = (block: number): boolean =>
      bounds.from === null ||
      block * BLOCK >= bounds.from.byteLength ||
      marks.some((each) => each.has(block));
    return changedBlocks(bounds, found).filter((block) => isMarked(block) || isIn(block, found));
  }

  #found({ by, from }: SetBounds): CompareFinding | null {
    const finding = by === undefined ? undefined : this.#compared.get(by);
    return finding?.state.id === from ? finding : null;
  }

  #bounds({ from, to, by }: SetBounds): { from: Uint8Array | null; to: Uint8Array } | null {
    const known = (id: StateId): Uint8Array | undefined =>
      this.#states.some((state) => state.id === id) ? this.history.get(id) : undefined;
    const found = this.#found({ from, to, ...(by !== undefined && { by }) });
    const old = from === null ? null : known(found?.like ?? from);
    const fresh = known(to);
    const order = this.#states.map(({ id }) => id);
    if (found !== null && order.indexOf(to) < order.indexOf(found.like)) return null;
    return old === undefined || fresh === undefined ? null : { from: old, to: fresh };
  }

  #forget(): void {
    const pinned = new Set([
      ...Object.values(this.#pins),
      ...[...this.#compared.values()].map(({ like }) => like),
    ]);
    const last = this.#states.at(-1);
    const kept = this.#states.filter((state) => state === last || pinned.has(state.id));
    this.#states.splice(0, this.#states.length, ...kept);
  }
}

/** A volume as one process sees it: when the process is gone, nothing it still asks for happens. */
export function whileAlive(volume: VolumeService, isAlive: () => boolean): VolumeService {
  const ask = async <T>(work: () => Promise<T>): Promise<T> => {
    await Promise.resolve();
    if (!isAlive()) throw new Error('the process is gone');
    const answer = await work();
    if (!isAlive()) throw new Error('the process is gone');
    return answer;
  };
  return {
    describe: () => ask(() => volume.describe()),
    seal: (request) => ask(() => volume.seal(request)),
    groupStep: (step) => ask(() => volume.groupStep(step)),
    sealIf: (request, condition) => ask(() => volume.sealIf(request, condition)),
    pin: (owner, state) => ask(() => volume.pin(owner, state)),
    unpin: (owner) => ask(() => volume.unpin(owner)),
    countChanges: (set) => ask(() => volume.countChanges(set)),
    collect: (request) => ask(() => volume.collect(request)),
    readBase: (request) => ask(() => volume.readBase(request)),
    digests: (request) => ask(() => volume.digests(request)),
    compared: (finding) => ask(() => volume.compared(finding)),
  };
}

/** The set of what changed since a later state than its base. */
const sinceThen = ({ since, from, to, by }: SetBounds): SetBounds => ({
  from: since ?? from,
  to,
  ...(by !== undefined && { by }),
});

const blockOf = (content: Uint8Array, block: number): Uint8Array =>
  content.subarray(block * BLOCK, (block + 1) * BLOCK);
const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);

const isIn = (block: number, found: CompareFinding | null): boolean =>
  found?.differing.some(({ start, end }) => block >= start && block < end) === true;

function changedBlocks(
  { from, to }: { from: Uint8Array | null; to: Uint8Array },
  found: CompareFinding | null,
): number[] {
  const blocks: number[] = [];
  for (let block = 0; block < to.byteLength / BLOCK; block++) {
    const fresh = blockOf(to, block);
    const isChanged =
      from === null || block * BLOCK >= from.byteLength
        ? !isZero(fresh)
        : Buffer.compare(blockOf(from, block), fresh) !== 0;
    if (isChanged || isIn(block, found)) blocks.push(block);
  }
  return blocks;
}

function unknown(state: StateId): Promise<never> {
  return Promise.reject(new Error(`unknown state ${state}`));
}
