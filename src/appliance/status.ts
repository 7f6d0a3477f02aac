import type { LineBytes } from '../../protocol/set-account.js';
import type { Grade, StateInfo } from '../../protocol/state.js';

/** What `status --json` prints and the terminal UI shows (DESIGN section 8: fields are only ever added). */
export interface ApplianceStatus {
  readonly schema: 1;
  readonly role: 'primary' | 'backup';
  readonly name: string;
  readonly links: readonly LinkStatus[];
  readonly volumes: readonly VolumeStatus[];
  /** On a primary its backups, on a backup its primaries, as configured. */
  readonly peers?: readonly PeerStatus[];
  /** Newest last; a bounded number. */
  readonly events: readonly ApplianceEvent[];
}

export interface PeerStatus {
  readonly name: string;
  /** The link that carries the session; null: none is up. */
  readonly link: string | null;
  /** ISO 8601; null: not since this appliance started, on a backup: never. */
  readonly lastHeard: string | null;
  /** On a backup: it was not heard of for longer than its `silentAfter`. */
  readonly isSilent?: boolean;
  /** On a backup: when this primary is called. */
  readonly poll?: ScheduleStatus | null;
}

export type LinkState = 'idle' | 'opening' | 'connecting' | 'connected' | 'waiting' | 'failed';

export interface LinkStatus {
  readonly name: string;
  readonly type: 'serial' | 'modem' | 'tcp' | 'null-modem';
  readonly state: LinkState;
  /** The peer's configured name while a session is up. */
  readonly peer: string | null;
  /** Bytes that crossed the port since the appliance started, framing included. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly framesSent: number;
  readonly framesReceived: number;
  readonly framesDamaged: number;
  readonly framesRepeated: number;
  /** Parcel bytes that were sent a second time, or for nothing because the call ended before they were confirmed. */
  readonly bytesRepeated: number;
  /** Parcel bytes received that were held already. */
  readonly bytesDuplicate?: number;
  readonly lastError: string | null;
  /** What the line carries by its setting, or by what the modems agreed on; null: not known, or not limited. */
  readonly bitsPerSecond?: number | null;
}

export interface StateSummary {
  readonly id: string;
  /** ISO 8601 with zone. */
  readonly time: string;
  readonly grade: Grade;
}

export const summarizeState = (state: StateInfo): StateSummary => ({
  id: state.id,
  time: new Date(state.time).toISOString(),
  grade: state.grade,
});

export interface VolumeStatus {
  /** On a primary the volume's name, on a backup `PRIMARY/VOLUME`. */
  readonly name: string;
  readonly sizeBytes: number;
  readonly blockSize: number;
  /** Blocks written since the last seal; 0 on a backup. */
  readonly dirtyBlocks: number;
  /** On a primary the last state a backup has applied, on a backup the image's. */
  readonly lastState: StateSummary | null;
  readonly transfer: TransferStatus | null;
  /** The last set that arrived, on a primary since its start; absent or null: none, or nothing was counted. */
  readonly lastSet?: SetStatus | null;
  readonly warnings: readonly string[];
  /** On a primary: first copies that are on their way on a disk, or were not confirmed yet. */
  readonly seeds?: readonly SeedStatus[];
  /** On a backup: the last scrub of the copy; null: there was none. */
  readonly lastScrub?: { readonly time: string; readonly passed: boolean } | null;
  /** The operator has stopped its transfers for now. */
  readonly paused?: boolean;
  /** Absent or null: snapshots are taken only when asked for. */
  readonly schedule?: ScheduleStatus | null;
}

export interface SeedStatus {
  /** The backup that it is for. */
  readonly peer: string;
  readonly state: StateSummary;
}

export interface ScheduleStatus {
  readonly cron: string;
  /** ISO 8601. */
  readonly nextRun: string | null;
  readonly lastRun: string | null;
  /** How the last run ended, in a few words. */
  readonly lastOutcome?: string | null;
}

/** A set that has arrived: what it was worth and what it cost. */
export interface SetStatus {
  /** The backup's name on a primary, the primary's on a backup. */
  readonly peer: string;
  readonly to: StateSummary;
  readonly blocks: number;
  /** Bytes that clients wrote between the set's states, over again counted again; null: not known. */
  readonly bytesWritten: number | null;
  /** All bytes on the line by kind, as this side counts them; null: not counted. */
  readonly line: LineBytes | null;
}

export type TransferPhase = 'snapshot' | 'encoding' | 'sending' | 'committing' | 'applying';

export interface TransferStatus {
  /** The backup's name on a primary, the primary's on a backup. */
  readonly peer: string;
  readonly to: StateSummary;
  readonly phase: TransferPhase;
  /** Blocks in the set; null while it is not yet known. */
  readonly blocks: number | null;
  /** Encoded bytes that the backup holds, and those known to be needed so far. */
  readonly bytesHeld: number;
  readonly bytesTotal: number;
  /** Fraction of the set's blocks that has been encoded and delivered, 0 … 1. */
  readonly fraction: number;
  /** Seconds left by the rate seen; null while unknown. */
  readonly secondsLeft: number | null;
  /** A newer state that waits until this one has arrived; null: none does. */
  readonly next?: StateSummary | null;
  /** How often the set was turned to a newer state on its way. */
  readonly turns?: number;
  /** What crossed for it up to now, by kind; on a primary. */
  readonly line?: LineBytes | null;
}

export interface ApplianceEvent {
  readonly time: string;
  readonly level: 'info' | 'warning' | 'error';
  readonly text: string;
}
