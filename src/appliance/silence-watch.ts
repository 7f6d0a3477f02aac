import { wallTime, type Millis, type WallTime } from '../../protocol/units.js';
import type { PrimaryPeer } from '../config/configuration.js';
import { formatDuration } from '../config/units.js';
import type { Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import type { EventLog } from './event-log.js';
import type { Heard, HeardRecord } from './heard-record.js';

/** How often is looked whether somebody has fallen silent; more often where a second of silence counts. */
const LOOK_MS = 30_000;
const LEAST_LOOK_MS = 1000;
/** A session in which there is nothing to say is only heard of now and then. */
const QUIET_SESSION_MS = 3 * 60_000;
/** How old what is on disk may get. */
const KEEP_MS = 10 * 60_000;

export interface SilenceWatchOptions {
  /** Those that may call now. */
  readonly primaries: () => readonly PrimaryPeer[];
  /** When a primary was last heard of; null: not since the start. */
  readonly heardAt: (primary: string) => Millis | null;
  readonly isConnected: (primary: string) => boolean;
  readonly record: HeardRecord;
  readonly events: EventLog;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Tells when a primary was not heard of for its `silentAfter`, once for each silence, and when it is heard again. A backup
 * that nobody calls looks as well as one that nothing has changed for; this is what tells them apart.
 *
 * While the process runs, silence is measured by the monotonic clock; what an earlier process has heard is taken from the
 * record, by the wall clock. One that was put back makes a silence shorter, never longer than since the start.
 */
export class SilenceWatch {
  readonly #options: SilenceWatchOptions;
  readonly #startedAt: Millis;
  readonly #startedWall: WallTime;
  #known: Map<string, Heard>;
  readonly #silent = new Map<string, number>();
  #keptAt: Millis;
  #cancel: () => void = () => undefined;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(options: SilenceWatchOptions, known: ReadonlyMap<string, Heard>) {
    this.#options = options;
    this.#known = new Map(known);
    this.#startedAt = options.clock.now();
    this.#startedWall = options.clock.wall();
    this.#keptAt = this.#startedAt;
  }

  static async start(options: SilenceWatchOptions): Promise<SilenceWatch> {
    const watch = new SilenceWatch(options, await options.record.read());
    watch.#look();
    await watch.#keep();
    watch.#arm();
    return watch;
  }

  /** When a primary was last heard of, by this process or an earlier one; null: never. */
  lastHeard(primary: string): WallTime | null {
    const heardAt = this.#options.heardAt(primary);
    if (heardAt === null) return this.#known.get(primary)?.heard ?? null;
    const { clock } = this.#options;
    return wallTime(Math.max(0, Math.round(clock.wall() - (clock.now() - heardAt))));
  }

  /** Is it silent for longer than it may be. */
  isSilent(primary: string): boolean {
    return this.#silent.has(primary);
  }

  /** Keeps what was heard. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancel();
    await this.#looking;
    this.#note();
    await this.#keep();
  }

  #arm(): void {
    if (this.#isClosed) return;
    const limits = this.#options.primaries().map(({ silentAfterMs }) => (silentAfterMs ?? Infinity) / 2);
    const delay = Math.max(LEAST_LOOK_MS, Math.min(LOOK_MS, ...limits));
    this.#cancel = this.#options.clock.after(delay, () => {
      this.#look();
      const isDue = this.#options.clock.now() - this.#keptAt >= KEEP_MS;
      this.#looking = (isDue ? this.#keep() : Promise.resolve()).then(() => {
        this.#arm();
      });
    });
  }

  #look(): void {
    const { primaries, events, isConnected } = this.#options;
    this.#note();
    for (const { name, silentAfterMs: limit } of primaries()) {
      const silentAfterMs = limit === null || !isConnected(name) ? limit : Math.max(limit, QUIET_SESSION_MS);
      const silence = this.#silenceOf(name);
      const told = this.#silent.get(name);
      if (silentAfterMs === null || silence < silentAfterMs) {
        this.#silent.delete(name);
        // Only what is heard makes a silence shorter: what it may be can have been changed.
        if (told !== undefined && silence < told)
          events.add('info', `${name} is heard again, after ${formatDuration(told)} of silence`);
        continue;
      }
      this.#silent.set(name, silence);
      if (told !== undefined) continue;
      const heard = this.lastHeard(name);
      const last = heard === null ? 'it was never heard' : `last at ${new Date(heard).toISOString()}`;
      events.add(
        'error',
        `nothing was heard of ${name} for ${formatDuration(silence)} (${last}): its copies get older; see whether it runs and its line is up`,
      );
    }
  }

  /** Takes in what is heard and who is new, and forgets who is gone. */
  #note(): void {
    const { primaries, clock } = this.#options;
    this.#known = new Map(
      primaries().map(({ name }) => [
        name,
        { since: this.#known.get(name)?.since ?? clock.wall(), heard: this.lastHeard(name) },
      ]),
    );
    for (const name of this.#silent.keys()) if (!this.#known.has(name)) this.#silent.delete(name);
  }

  #silenceOf(primary: string): number {
    const { heardAt, clock } = this.#options;
    const at = heardAt(primary);
    if (at !== null) return clock.now() - at;
    const { heard, since } = this.#known.get(primary) ?? { heard: null, since: this.#startedWall };
    const last = heard ?? since;
    const running = clock.now() - this.#startedAt;
    if (last <= this.#startedWall) return this.#startedWall - last + running;
    // Known since later than the start; or of a time that is yet to come, by a clock that was put back.
    return clock.wall() < last ? running : Math.min(running, clock.wall() - last);
  }

  async #keep(): Promise<void> {
    const { record, log, clock } = this.#options;
    this.#keptAt = clock.now();
    try {
      await record.write(this.#known);
    } catch (error) {
      // Then the next start counts silence from an older time, or from itself.
      log.warn('when primaries were last heard could not be kept', { err: error });
    }
  }
}
