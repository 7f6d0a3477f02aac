import type { StateInfo } from '../../protocol/state.js';
import { sleep, type Clock } from '../platform/clock.js';
import { nextOf } from '../replication/travel-pins.js';
import { CronSchedule } from '../schedule/cron-schedule.js';
import type { Job, JobStatus } from '../schedule/runner.js';
import type { BackupPeer } from './backup-peer.js';
import type { ProtectedVolume } from './protected-volumes.js';
import { statesOf } from './volume-snapshots.js';
import type { ScheduleStatus } from './status.js';

/**
 * A scheduled run counts as over when a backup has not been heard of for so long; the state travels when it is back.
 * Else one dead line would keep all later snapshots from being taken.
 */
const SILENT_AFTER_MS = 120_000;
const LOOK_EVERY_MS = 1000;

/** The scheduled work of a volume, or of the group that it leads: a consistent snapshot, and the way of its state to every backup. */
export function volumeJob(
  volume: ProtectedVolume,
  expression: string,
  peers: readonly BackupPeer[],
  clock: Clock,
): Job {
  return {
    name: volume.name,
    schedule: new CronSchedule(expression),
    run: async (signal) => {
      const outcome = await volume.snapshots.take({ pinAs: peers.map(({ name }) => nextOf(name)), signal });
      if (outcome.kind === 'failed') throw outcome.error;
      if (outcome.kind === 'skipped') return `no snapshot: ${outcome.why}`;
      const { state } = outcome;
      const states = Object.entries(statesOf(volume.name, outcome));
      const fates = await Promise.all(
        peers.flatMap((peer) => states.map(([name, each]) => send(peer, name, each, clock, signal))),
      );
      return [`${state.grade} state ${state.id.slice(0, 8)}`, ...fates].join(', ');
    },
  };
}

/** Waits until the backup has the state, or until it is clear that this will take long; in a few words. */
async function send(
  peer: BackupPeer,
  volume: string,
  state: StateInfo,
  clock: Clock,
  signal: AbortSignal,
): Promise<string> {
  const replicator = peer.replicators.get(volume);
  if (replicator === undefined) return `not sent to ${peer.name}`;
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  try {
    const outcome = replicator.outcome(state, ended);
    outcome.catch(() => undefined);
    await replicator.wake();
    const result = await Promise.race([outcome, untilSilent(peer, clock, ended)]);
    if (result === null) return `${peer.name} is not reached, it is sent later`;
    return result.kind === 'applied' ? `${peer.name} has it` : `${peer.name}: ${result.text}`;
  } finally {
    over.abort(new Error('the run is over'));
  }
}

/** Resolves when nothing has been heard of the backup for a while. */
async function untilSilent(peer: BackupPeer, clock: Clock, signal: AbortSignal): Promise<null> {
  const started = clock.now();
  for (;;) {
    await sleep(clock, LOOK_EVERY_MS, signal);
    if (clock.now() - Math.max(started, peer.heardAt ?? started) >= SILENT_AFTER_MS) return null;
  }
}

export const scheduleStatus = (job: JobStatus): ScheduleStatus => ({
  cron: job.expression,
  nextRun: timeText(job.nextRun),
  lastRun: timeText(job.lastRun),
  lastOutcome: job.isRunning ? 'going on' : job.lastOutcome,
});

const timeText = (time: number | null): string | null =>
  time === null ? null : new Date(time).toISOString();
