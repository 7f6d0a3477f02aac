import type { ApplianceStatus } from '../appliance/status.js';
import type { DrillRecord } from './drill-records.js';
import type { LineBytes } from '../../protocol/set-account.js';
import type { Grade } from '../../protocol/state.js';
import type { SeedTrust } from '../store/volume-store.js';

/**
 * What the command line and the terminal UI may ask of a running appliance, over its control socket or directly.
 * Results are the JSON values of DESIGN section 8. A role that cannot do a thing fails with `ApplianceError`
 * `wrong-role`.
 */
export interface ApplianceControl {
  status(): Promise<ApplianceStatus>;
  /** Snapshot now and replicate; resolves when the backup has applied it. */
  sync(request: SyncRequest, options: OperationOptions): Promise<SyncResult>;
  /**
   * Compares a snapshot with the far copy by digests; resolves when they are found equal, or when what differs has been
   * sent and applied.
   */
  compare(request: CompareRequest, options: OperationOptions): Promise<CompareResult>;
  /** Seals the epoch at once, grade `application`. */
  snapshot(request: { readonly volume: string; readonly note?: string }): Promise<SnapshotResult>;
  /**
   * Stops sending one volume, or all, until `resume` or the end of the appliance; what the backup holds of a set stays
   * there. Resolves with the volumes that are paused now.
   */
  pause(request: { readonly volume?: string }): Promise<PausedVolumes>;
  resume(request: { readonly volume?: string }): Promise<PausedVolumes>;
  /**
   * Ends the calls on the link of this name, as `status` gives it, or on all. This side does not call on it again for
   * five minutes, or until a sync or `resume`.
   */
  hangUp(request: { readonly link?: string }): Promise<void>;
  /** Restore points of one `PRIMARY/VOLUME`, or of all, newest first. */
  points(request: { readonly volume?: string }): Promise<readonly PointSummary[]>;
  /** Writes a state to a file or device; `to` is absolute. */
  restore(request: RestoreRequest, options: OperationOptions): Promise<RestoreResult>;
  /** Serves a state over NBD on a socket of this machine until the signal aborts; resolves when that has ended. */
  export(request: ExportRequest, options: ExportOptions): Promise<void>;
  /** Restores a point to a throw-away file and checks it by a command; the result is kept with the point. */
  drill(request: DrillRequest, options: OperationOptions): Promise<DrillResult>;
  /** Reads all that is stored of a volume and checks it; the result is kept. */
  scrub(request: ScrubRequest, options: OperationOptions): Promise<ScrubResult>;
  /** Removes the restore points that the configuration does not keep. */
  prune(request: PruneRequest, options: OperationOptions): Promise<PruneResult>;
  /** Takes a consistent snapshot and writes it to a file, as a first copy for one backup. */
  seedExport(request: SeedExportRequest, options: OperationOptions): Promise<SeedExportResult>;
  /** Gives a first copy up that was written to a disk and is not to be imported any more. */
  seedDrop(request: SeedRequest): Promise<SeedDropResult>;
  /** Begins a copy with what was written to a disk at the primary. */
  seedImport(request: SeedImportRequest, options: OperationOptions): Promise<SeedImportResult>;
}

export interface OperationOptions {
  readonly signal: AbortSignal;
  readonly progress: (progress: Progress) => void;
}

/** `done` and `total` in the unit named; `total` null while it is not known. */
export interface Progress {
  readonly phase: string;
  readonly done: number;
  readonly total: number | null;
  readonly unit: 'bytes' | 'blocks' | 'seconds';
}

export interface CompareRequest {
  readonly volume: string;
  /** A backup's name; may be left out where there is only one. */
  readonly to?: string;
}

export interface CompareResult {
  readonly equal: boolean;
  /** Blocks that differed. */
  readonly differing: number;
  /** What crossed the line, framing included, with what was sent to make them equal. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly seconds: number;
}

export interface SyncRequest {
  readonly volume: string;
  /** A backup's name; may be left out where there is only one. */
  readonly to?: string;
  readonly timeoutMs?: number;
}

export interface SyncResult {
  readonly state: string;
  readonly grade: Grade;
  readonly blocks: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly bytesRepeated: number;
  readonly seconds: number;
}

export interface PausedVolumes {
  readonly paused: readonly string[];
}

export interface SnapshotResult {
  readonly state: string;
  readonly grade: Grade;
  readonly time: string;
}

export interface PointSummary {
  readonly id: string;
  readonly primary: string;
  readonly volume: string;
  readonly time: string;
  readonly grade: Grade;
  readonly sizeBytes: number;
  readonly blocks: number;
  readonly appliedAt: string;
  /** Bytes that clients wrote on the primary since the point before; absent: not known. */
  readonly bytesWritten?: number;
  /** All that crossed the line for it up to its commit, by kind, as each side counted; absent: not known. */
  readonly line?: { readonly byPrimary: LineBytes | null; readonly byBackup: LineBytes | null };
  readonly note?: string;
  /**
   * It came on a disk. `unconfirmed`: the primary has not compared it yet; `differed`: it has, and some of it is not what it
   * was. Absent: it is what the primary had.
   */
  readonly seed?: SeedTrust;
  /** How the last drill of it went; absent: there was none. */
  readonly drill?: DrillRecord;
  /** The last scrub, if the point was there; how many blocks of the point were lost, null: not known how many. */
  readonly scrub?: { readonly time: string; readonly lostBlocks: number | null };
  /** The same in the points of other volumes that were sealed at the same instant. */
  readonly group?: string;
}

export interface ScrubRequest {
  /** `PRIMARY/VOLUME`. */
  readonly volume: string;
  /** To be read at the most; left out: as the disk gives it. */
  readonly bytesPerSecond?: number;
}

/** Blocks `start … end-1`. */
export interface BlockRange {
  readonly start: number;
  readonly end: number;
}

export interface ScrubResult {
  readonly volume: string;
  /** The image's. */
  readonly state: string;
  readonly stateTime: string;
  /** `made`, `remade`: there were none yet, or they were lost, and the image was taken as it is. */
  readonly digests: 'checked' | 'made' | 'remade';
  /** Nothing is wrong anywhere. */
  readonly passed: boolean;
  /** Blocks of the image that were read; what is zeros need not be. */
  readonly blocks: number;
  /** All that was read. */
  readonly bytes: number;
  /** Blocks of the image that are not what they should be; where there are too many ranges, fewer that cover them. */
  readonly rotten: readonly BlockRange[];
  /** Blocks of the image of which that cannot be told, for their digests have rotted. */
  readonly unknown: readonly BlockRange[];
  readonly rottenBlocks: number;
  readonly unknownBlocks: number;
  readonly increments: {
    readonly files: number;
    readonly blocks: number;
    /** By the point that the increment leads back to; `blocks` null: none of it can be read. */
    readonly damaged: readonly { readonly point: string; readonly blocks: readonly BlockRange[] | null }[];
  };
  /** Restore points that lack something, newest first; `blocks` null: it is not known how much. */
  readonly points: readonly { readonly id: string; readonly time: string; readonly blocks: number | null }[];
  /** Records that could not be read, for people. */
  readonly records: readonly string[];
  /** When it ended, ISO 8601 with zone. */
  readonly time: string;
  readonly seconds: number;
}

export interface DrillRequest {
  /** `PRIMARY/VOLUME`. */
  readonly volume: string;
  /** As of `RestoreRequest`. */
  readonly at?: string;
  /** Left out: the configured one. */
  readonly command?: string;
  readonly timeoutMs?: number;
}

export interface DrillResult extends DrillRecord {
  readonly state: string;
  readonly stateTime: string;
  readonly volume: string;
}

export interface RestoreRequest {
  /** `PRIMARY/VOLUME`. */
  readonly volume: string;
  /** A point's id or a time (the newest point not after it); absent: the newest. */
  readonly at?: string;
  readonly to: string;
  readonly force: boolean;
  /** Write what is there of blocks that have rotted, and tell which they are; else it fails at the first of them. */
  readonly damaged?: boolean;
}

export interface RestoreResult {
  readonly state: string;
  readonly time: string;
  readonly to: string;
  readonly sizeBytes: number;
  /** As of `PointSummary`. */
  readonly seed?: SeedTrust;
  /** Blocks that are not what the state held; absent: there are none. */
  readonly damaged?: readonly BlockRange[];
}

export interface ExportRequest {
  /** `PRIMARY/VOLUME`. */
  readonly volume: string;
  /** As of `RestoreRequest`. */
  readonly at?: string;
  /** Absolute path of the Unix socket to serve on. */
  readonly socket: string;
  /** Take writes, and throw them away at the end. */
  readonly writable: boolean;
}

export interface ExportOptions extends OperationOptions {
  /** Called once, when clients are served. */
  readonly ready: (exported: ExportedState) => void;
}

export interface ExportedState {
  readonly socket: string;
  readonly state: string;
  readonly time: string;
  readonly grade: Grade;
  readonly sizeBytes: number;
  readonly writable: boolean;
}

export interface SeedRequest {
  readonly volume: string;
  /** A backup's name; may be left out where there is only one. */
  readonly backup?: string;
}

export interface SeedExportRequest extends SeedRequest {
  /** Absolute path of the file. */
  readonly to: string;
  readonly force: boolean;
}

export interface SeedExportResult {
  readonly volume: string;
  readonly backup: string;
  readonly to: string;
  readonly state: string;
  readonly time: string;
  readonly grade: Grade;
  readonly sizeBytes: number;
  /** Blocks that are not zeros. */
  readonly blocks: number;
  /** Length of the file. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface SeedDropResult {
  readonly volume: string;
  readonly backup: string;
  readonly state: string;
}

export interface SeedImportRequest {
  /** Absolute path of the file. */
  readonly path: string;
  /** `PRIMARY/VOLUME`; left out: as the seed says. */
  readonly as?: string;
}

export interface SeedImportResult {
  /** `PRIMARY/VOLUME`. */
  readonly volume: string;
  readonly state: string;
  readonly time: string;
  readonly grade: Grade;
  readonly sizeBytes: number;
  readonly blocks: number;
  readonly seconds: number;
}

export interface PruneRequest {
  /** `PRIMARY/VOLUME`. */
  readonly volume: string;
  /** Only tell what would go. */
  readonly dryRun: boolean;
}

/** Points newest first. */
export interface PruneResult {
  readonly volume: string;
  readonly dryRun: boolean;
  /** How many points the policy keeps of each kind; null: all are kept. */
  readonly policy: KeepCounts | null;
  readonly kept: readonly PointSummary[];
  readonly removed: readonly PointSummary[];
}

export interface KeepCounts {
  readonly last: number;
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}
