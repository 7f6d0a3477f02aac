import { dirname, join } from 'node:path';
import type { StateInfo } from '../../protocol/state.js';
import type { NbdAddress, PrimaryConfiguration, VolumeConfiguration } from '../config/configuration.js';
import { ConsistentSnapshots, type SnapshotRequest } from '../consistency/consistent-snapshots.js';
import { FrozenNote } from '../consistency/frozen-note.js';
import type { Progress } from '../control/appliance-control.js';
import type { VolumeService } from '../engine/volume-service.js';
import { sleep, type Clock } from '../platform/clock.js';
import type { ApplianceOptions } from './appliance.js';
import type { BackupPeer } from './backup-peer.js';
import { ApplianceError } from './errors.js';
import type { EventLog } from './event-log.js';

/** What a seal is made of: a volume, or a group of them. */
export type SealTarget = Pick<VolumeService, 'sealIf'>;

/** The snapshots of a volume, or of the volumes of a group, as their configuration wants them. */
export function snapshotsOf(
  members: readonly VolumeConfiguration[],
  target: SealTarget,
  configuration: PrimaryConfiguration,
  events: EventLog,
  { files, clock, random, log }: ApplianceOptions,
): ConsistentSnapshots {
  const [volume] = members;
  if (volume === undefined) throw new Error('a group has no volumes');
  const list = (texts: readonly string[]): string => texts.join(' ');
  return new ConsistentSnapshots({
    volumeName: list(members.map(({ name }) => name)),
    volume: target,
    policy: volume.consistency,
    note: new FrozenNote(files, join(configuration.state, 'volumes', volume.name)),
    cwd: dirname(configuration.file),
    environment: {
      FARCOPY_PRIMARY: configuration.name,
      FARCOPY_DEVICE: list(members.map(({ device }) => device)),
      FARCOPY_NBD: list(members.map(({ nbd }) => addressText(nbd))),
      ...(volume.group !== null && { FARCOPY_GROUP: volume.group }),
    },
    ownFolders: [configuration.state],
    clock,
    random,
    log,
    onEvent: (level, text) => events.add(level, text),
  });
}

const addressText = (nbd: NbdAddress): string =>
  nbd.kind === 'unix' ? `unix:${nbd.path}` : `tcp://${nbd.host}:${nbd.port}`;

/** The states of what was sealed together, by the volume's name. */
export type SealedStates = Readonly<Record<string, StateInfo>>;

/** `name`: of a volume that is sealed by itself. */
export const statesOf = (
  name: string,
  sealed: { readonly state: StateInfo; readonly group?: SealedStates },
): SealedStates => sealed.group ?? { [name]: sealed.state };

/** The states of a snapshot that has to be. Fails with the reason of the signal, or why there is none. */
export async function takeStates(
  { name, snapshots }: { readonly name: string; readonly snapshots: ConsistentSnapshots },
  request: SnapshotRequest,
): Promise<SealedStates> {
  const outcome = await snapshots.take(request);
  switch (outcome.kind) {
    case 'sealed':
      return statesOf(name, outcome);
    case 'skipped':
      throw new ApplianceError(
        'refused',
        `no snapshot was taken: ${outcome.why}`,
        'wait for a calmer time, or set atDeadline: crash for a snapshot all the same',
      );
    case 'failed':
      throw outcome.error;
  }
}

/** How a wait for a consistent moment is shown. */
export const waitingProgress =
  (progress: (progress: Progress) => void): NonNullable<SnapshotRequest['onWaiting']> =>
  (phase, elapsedMs, atMostMs) =>
    progress({
      phase: phase === 'quiet' ? 'waiting for quiet' : 'grace time',
      done: Math.round(elapsedMs / 1000),
      total: Math.round(atMostMs / 1000),
      unit: 'seconds',
    });

export interface HopelessRequest {
  readonly peer: BackupPeer;
  readonly clock: Clock;
  readonly timeoutMs: number | undefined;
  /** How long a backup may stay unheard of. */
  readonly unreachableAfterMs: number;
}

const LOOK_EVERY_MS = 500;

/**
 * Aborts when a sync need not wait any longer for a consistent moment: its time is up, or the backup cannot be reached
 * (a modem is dialled only when there is something to send, so its silence says nothing).
 */
export async function untilHopeless(
  { peer, clock, timeoutMs = Infinity, unreachableAfterMs }: HopelessRequest,
  giveUp: AbortController,
  signal: AbortSignal,
): Promise<void> {
  const started = clock.now();
  const isDialled = peer.meters.some(({ status }) => status.type === 'modem');
  for (;;) {
    await sleep(clock, LOOK_EVERY_MS, signal);
    const elapsed = clock.now() - started;
    if (elapsed >= timeoutMs) {
      const text = `not finished after ${timeoutMs / 1000} s: no consistent moment has come yet`;
      giveUp.abort(new ApplianceError('timeout', text, 'no snapshot was taken'));
      return;
    }
    const isHeard = peer.heardAt !== null && peer.heardAt >= started;
    if (elapsed >= unreachableAfterMs && !isHeard && !isDialled && peer.lastError !== null) {
      const text = `${peer.name} cannot be reached: ${peer.lastError}`;
      giveUp.abort(new ApplianceError('peer-unreachable', text, 'no snapshot was taken'));
      return;
    }
  }
}
