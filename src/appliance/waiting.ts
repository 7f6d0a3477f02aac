import type { StateInfo } from '../../protocol/state.js';
import type { OperationOptions } from '../control/appliance-control.js';
import { sleep, type Clock } from '../platform/clock.js';
import type { Replicator } from '../replication/replicator.js';
import type { BackupPeer } from './backup-peer.js';
import { ApplianceError } from './errors.js';

/**
 * What stands beside an operation that waits for a backup: its ends without an answer, and its progress. Each of these
 * never resolves, and rejects with the signal's reason when that aborts.
 */

/** An operation gives up when the backup was not heard of for so long; what was sealed is sent all the same, later. */
export const UNREACHABLE_AFTER_MS = 45_000;
/** Where a modem has to dial, perhaps twice. */
const UNREACHABLE_BY_MODEM_MS = 180_000;
const LOOK_EVERY_MS = 500;

/** Rejects when nothing was heard of the backup since the beginning; once it was, drops are a matter of patience. */
export async function unreachable(
  peer: BackupPeer,
  clock: Clock,
  hint: string,
  signal: AbortSignal,
): Promise<never> {
  const started = clock.now();
  const isDialled = peer.meters.some(({ type }) => type === 'modem');
  await sleep(clock, isDialled ? UNREACHABLE_BY_MODEM_MS : UNREACHABLE_AFTER_MS, signal);
  if (peer.heardAt !== null && peer.heardAt >= started) return forever(signal);
  throw new ApplianceError(
    'peer-unreachable',
    `${peer.name} cannot be reached: ${peer.lastError ?? 'no link has come up'}`,
    hint,
  );
}

/** Rejects when the time that was given is over. */
export async function timedOut(
  clock: Clock,
  timeoutMs: number | undefined,
  state: StateInfo,
  signal: AbortSignal,
): Promise<never> {
  if (timeoutMs === undefined) return forever(signal);
  await sleep(clock, timeoutMs, signal);
  throw new ApplianceError(
    'timeout',
    `not finished after ${timeoutMs / 1000} s`,
    `state ${state.id.slice(0, 8)} goes on travelling; \`farcopy status\` shows how far it is`,
  );
}

/** Tells how far a set has travelled. */
export async function reportProgress(
  clock: Clock,
  replicator: Replicator,
  progress: OperationOptions['progress'],
  signal: AbortSignal,
): Promise<never> {
  for (;;) {
    await sleep(clock, LOOK_EVERY_MS, signal);
    const { transfer } = replicator.view;
    if (transfer === null || transfer.blocks === null) continue;
    progress({
      phase: transfer.phase,
      done: Math.round(transfer.fraction * transfer.blocks),
      total: transfer.blocks,
      unit: 'blocks',
    });
  }
}

/** Tells how far a compare has come. */
export async function reportComparing(
  clock: Clock,
  replicator: Replicator,
  progress: OperationOptions['progress'],
  signal: AbortSignal,
): Promise<never> {
  for (;;) {
    await sleep(clock, LOOK_EVERY_MS, signal);
    const { comparing } = replicator.view;
    if (comparing !== null) progress({ phase: 'comparing', ...comparing, unit: 'blocks' });
  }
}

/** Never resolves; rejects when the signal aborts. */
function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = (): void => reject(signal.reason as Error);
    if (signal.aborted) fail();
    signal.addEventListener('abort', fail, { once: true });
  });
}
