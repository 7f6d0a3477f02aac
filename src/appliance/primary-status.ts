import type { StateInfo } from '../../protocol/state.js';
import type { Clock } from '../platform/clock.js';
import type { ArrivedSet } from '../replication/set-cost.js';
import type { TransferView } from '../replication/transfer-view.js';
import type { ScheduleRunner } from '../schedule/runner.js';
import type { BackupPeer } from './backup-peer.js';
import type { EventLog } from './event-log.js';
import type { Ports } from './ports.js';
import type { ProtectedVolume } from './protected-volumes.js';
import type { Progressed } from './rate-meter.js';
import { scheduleStatus } from './scheduled-runs.js';
import {
  summarizeState,
  type ApplianceStatus,
  type PeerStatus,
  type SetStatus,
  type TransferStatus,
  type VolumeStatus,
} from './status.js';
import { TransferRates } from './transfer-rates.js';

export interface PrimaryStatusOptions {
  readonly name: string;
  readonly volumes: readonly ProtectedVolume[];
  readonly peers: readonly BackupPeer[];
  readonly ports: Ports;
  readonly schedule: Pick<ScheduleRunner, 'status'>;
  readonly events: EventLog;
  readonly clock: Clock;
}

/** Are the transfers of a volume paused, to whichever backup. */
export const isPaused = (peers: readonly BackupPeer[], volume: string): boolean =>
  peers.some(({ replicators }) => replicators.get(volume)?.isPaused === true);

/** What `farcopy status` tells of a primary: links, volumes with what travels and has arrived, backups and events. */
export class PrimaryStatus {
  readonly #options: PrimaryStatusOptions;
  readonly #rates: TransferRates;

  constructor(options: PrimaryStatusOptions) {
    this.#options = options;
    this.#rates = new TransferRates(options.clock, () => this.#progress());
  }

  close(): void {
    this.#rates.close();
  }

  async tell(): Promise<ApplianceStatus> {
    const { name, volumes, peers, ports, events, clock } = this.#options;
    const told = await Promise.all(
      volumes.map((volume) =>
        this.#volumeStatus(volume).catch((error: unknown) => {
          // It was taken out meanwhile.
          if (!volumes.includes(volume)) return null;
          throw error;
        }),
      ),
    );
    return {
      schema: 1,
      role: 'primary',
      name,
      links: [...peers.flatMap((peer) => peer.meters), ...ports.meters].map((meter) => meter.status),
      volumes: told.filter((volume) => volume !== null),
      peers: peers.map((peer) => peerStatus(peer, clock)),
      events: [...events.events],
    };
  }

  #progress(): ReadonlyMap<string, Progressed> {
    const views = this.#options.peers.flatMap(({ name, replicators }) =>
      [...replicators].map(([volume, { view }]) => ({
        key: transferKey(name, volume),
        transfer: view.transfer,
      })),
    );
    return new Map(
      views.flatMap(({ key, transfer }) =>
        transfer === null
          ? []
          : [[key, { of: transfer.to.id, held: transfer.bytesHeld, fraction: transfer.fraction }]],
      ),
    );
  }

  async #volumeStatus({ name, service, snapshots, together }: ProtectedVolume): Promise<VolumeStatus> {
    const description = await service.describe();
    const sent = this.#options.peers.flatMap((peer) => {
      const view = peer.replicators.get(name)?.view;
      if (view === undefined) return [];
      const { transfer, base, cost, lastSet, seed } = view;
      return [{ peer: peer.name, view: transfer, base, cost, lastSet, seed }];
    });
    const newest = sent
      .flatMap(({ base }) => (base === null ? [] : [base]))
      .reduce<StateInfo | null>(
        (best, base) => (best === null || base.ordinal > best.ordinal ? base : best),
        null,
      );
    const travelling = sent.find(({ view }) => view !== null);
    const job = this.#options.schedule.status(together[0] ?? name);
    return {
      name,
      sizeBytes: description.sizeBytes,
      blockSize: description.blockSize,
      dirtyBlocks: description.dirtyBlocks,
      lastState: newest === null ? null : summarizeState(newest),
      transfer:
        travelling?.view == null
          ? null
          : { ...this.#transferStatus(travelling.peer, name, travelling.view), line: travelling.cost },
      lastSet: newestSet(sent),
      seeds: sent.flatMap(({ peer, seed }) => (seed === null ? [] : [{ peer, state: summarizeState(seed) }])),
      paused: isPaused(this.#options.peers, name),
      warnings:
        snapshots.trouble === null ? description.warnings : [...description.warnings, snapshots.trouble],
      schedule: job === null ? null : scheduleStatus(job),
    };
  }

  #transferStatus(peer: string, volume: string, view: TransferView): TransferStatus {
    return {
      peer,
      to: summarizeState(view.to),
      phase: view.phase,
      blocks: view.blocks,
      bytesHeld: view.bytesHeld,
      bytesTotal: view.bytesKnown,
      fraction: view.fraction,
      secondsLeft: this.#rates.secondsLeft(transferKey(peer, volume), view.to.id),
      next: view.next === null ? null : summarizeState(view.next),
      turns: view.turns,
    };
  }
}

/** Of all backups the newest state that has arrived. */
function newestSet(
  sent: readonly { readonly peer: string; readonly lastSet: ArrivedSet | null }[],
): SetStatus | null {
  let newest: SetStatus | null = null;
  let ordinal = -1;
  for (const { peer, lastSet } of sent) {
    if (lastSet === null || lastSet.state.ordinal <= ordinal) continue;
    const { state, blocks, written, line } = lastSet;
    ordinal = state.ordinal;
    newest = { peer, to: summarizeState(state), blocks, bytesWritten: written, line };
  }
  return newest;
}

function peerStatus({ name, line, heardAt }: BackupPeer, clock: Clock): PeerStatus {
  const lastHeard = heardAt === null ? null : new Date(clock.wall() - (clock.now() - heardAt)).toISOString();
  return { name, link: line, lastHeard };
}

/** Names a transfer among the rates. */
const transferKey = (backup: string, volume: string): string => `${backup} ${volume}`;
