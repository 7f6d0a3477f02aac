import { parentPort, workerData, type MessagePort } from 'node:worker_threads';
import { NbdServer } from '../../src/nbd/server.js';
import { systemClock } from '../../src/platform/clock.js';
import { CutDisk } from './cut-disk.js';
import { Seeded } from './seeded.js';

/** What the thread is started with. */
export interface DiskThreadData {
  /** The Unix socket it serves the disk on. */
  readonly path: string;
  readonly seed: number;
  readonly content: Uint8Array<ArrayBuffer>;
}

export interface DiskCounts {
  readonly operations: number;
  readonly flushes: number;
}

/** `cut`: after so many operations or so many ms; the process groups of `pids` are killed in the same tick. */
export type DiskOrder =
  | { readonly kind: 'count' }
  | { readonly kind: 'lie' }
  | {
      readonly kind: 'cut';
      readonly operations: number;
      readonly patienceMs: number;
      readonly pids: readonly number[];
    }
  | { readonly kind: 'close' };

/** Each order is answered once, in the order in which they end. */
export type DiskReport =
  | { readonly kind: 'serving' }
  | { readonly kind: 'count'; readonly counts: DiskCounts }
  | { readonly kind: 'lie' }
  | { readonly kind: 'cut'; readonly left: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'close' };

/** A CutDisk and its server in a thread of their own: whoever waits for the disk, also in this process, is served. */
async function runDisk(main: MessagePort, { path, seed, content }: DiskThreadData): Promise<void> {
  const disk = new CutDisk({ random: new Seeded(seed), content });
  const server = await NbdServer.listen({
    address: { kind: 'unix', path },
    exports: () => [disk],
    clock: systemClock,
  });
  const report = (message: DiskReport, moved: readonly ArrayBuffer[] = []): void =>
    main.postMessage(message, moved);
  const cut = (pids: readonly number[]): void => {
    const left = disk.cut();
    for (const pid of pids) killGroup(pid);
    report({ kind: 'cut', left }, [left.buffer]);
  };
  main.on('message', (order: DiskOrder) => {
    switch (order.kind) {
      case 'count':
        report({ kind: 'count', counts: { operations: disk.operations, flushes: disk.flushes } });
        return;
      case 'lie':
        disk.lie();
        report({ kind: 'lie' });
        return;
      case 'cut': {
        const patience = setTimeout(() => cut(order.pids), order.patienceMs);
        disk.after(order.operations, () => {
          clearTimeout(patience);
          cut(order.pids);
        });
        return;
      }
      case 'close':
        void server.close().then(() => {
          report({ kind: 'close' });
          main.close();
        });
        return;
      default:
        order satisfies never;
    }
  });
  report({ kind: 'serving' });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

if (parentPort === null) throw new Error('cut-disk-thread.js runs only as a worker of ServedDisk');
await runDisk(parentPort, workerData as DiskThreadData);
