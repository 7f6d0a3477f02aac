import { ZERO_SLOT, type Runs } from './run-table.js';

/** A stretch of blocks of which one layer decides the content: from its blocks `slot …`, or zeros (`ZERO_SLOT`). */
export interface LayeredPiece {
  readonly start: number;
  readonly count: number;
  readonly layer: number;
  /** The run of that layer it is a part of. */
  readonly run: number;
  readonly slot: number;
}

/**
 * Lays tables of runs over each other, later over earlier, and gives what is seen from above: ascending, disjoint
 * pieces. A sweep over the starts of all runs; costs O(log layers) a run and no memory but a place for each layer.
 */
export function* layeredRuns(layers: readonly Runs[]): Generator<LayeredPiece> {
  const waiting = new Heap<OpenRun>(
    (a, b) => a.start < b.start || (a.start === b.start && a.layer > b.layer),
  );
  const open = new Heap<OpenRun>((a, b) => a.layer > b.layer);
  const wait = (layer: number, run: number): void => {
    const table = layers[layer] as Runs;
    if (run >= table.length) return;
    waiting.push({ layer, run, start: table.start(run), end: table.end(run), slot: table.slot(run) });
  };
  const admit = (run: OpenRun): void => {
    waiting.pop();
    open.push(run);
    wait(run.layer, run.run + 1);
  };

  layers.forEach((_, layer) => wait(layer, 0));
  for (let at = 0; ;) {
    for (let top = open.top; top !== undefined && top.end <= at; top = open.top) open.pop();
    const next = waiting.top;
    if (next !== undefined && (next.start <= at || open.top === undefined)) {
      at = Math.max(at, next.start);
      admit(next);
      continue;
    }
    const seen = open.top;
    if (seen === undefined) return;
    let until = seen.end;
    for (let run = waiting.top; run !== undefined && run.start < until; run = waiting.top) {
      if (run.layer > seen.layer) until = run.start;
      else admit(run);
    }
    const slot = seen.slot === ZERO_SLOT ? ZERO_SLOT : seen.slot + at - seen.start;
    yield { start: at, count: until - at, layer: seen.layer, run: seen.run, slot };
    at = until;
  }
}

interface OpenRun {
  readonly layer: number;
  readonly run: number;
  readonly start: number;
  readonly end: number;
  readonly slot: number;
}

class Heap<T> {
  readonly #items: T[] = [];
  constructor(readonly before: (a: T, b: T) => boolean) {}

  get top(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (!this.before(item, items[parent] as T)) break;
      items[at] = items[parent] as T;
      at = parent;
    }
    items[at] = item;
  }

  pop(): void {
    const items = this.#items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && this.before(items[child + 1] as T, items[child] as T)) child++;
      if (!this.before(items[child] as T, last)) break;
      items[at] = items[child] as T;
      at = child;
    }
    items[at] = last;
  }
}
