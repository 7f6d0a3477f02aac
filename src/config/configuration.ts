/**
 * A checked `farcopy.yaml` (DESIGN section 8): every path absolute, sizes in bytes, durations in ms, defaults filled
 * in. What is `null` was left out and has no default.
 */
export type Configuration = PrimaryConfiguration | BackupConfiguration;

interface ApplianceConfiguration {
  /** The file this was read from, absolute. */
  readonly file: string;
  readonly name: string;
  /** Folder for maps, before-images and the key pair. */
  readonly state: string;
  /** Path of the control socket, short enough for one. */
  readonly control: string;
  /** Ports on which a peer may call. */
  readonly listen: readonly ListenPort[];
}

export interface PrimaryConfiguration extends ApplianceConfiguration {
  readonly role: 'primary';
  /** Memory for the index of content that parcels refer to, over all volumes; 0: none. */
  readonly encoding: { readonly indexBytes: number };
  /** Space for before-images, over all volumes. */
  readonly beforeImages: { readonly budgetBytes: number };
  /** At least one; names and devices differ. */
  readonly volumes: readonly VolumeConfiguration[];
  readonly backups: readonly BackupPeer[];
}

export interface BackupConfiguration extends ApplianceConfiguration {
  readonly role: 'backup';
  readonly store: string;
  readonly primaries: readonly PrimaryPeer[];
}

export interface VolumeConfiguration {
  readonly name: string;
  /** Raw device or image file. */
  readonly device: string;
  readonly blockSize: number;
  readonly nbd: NbdAddress;
  /** Volumes of one group are sealed at the same instant, with the same schedule and consistency; null: in none. */
  readonly group: string | null;
  /** Cron expression for snapshot and sync; null: only when asked. */
  readonly schedule: string | null;
  readonly consistency: ConsistencyPolicy;
  /** What becomes of a set on its way when a newer state is to travel: it arrives first, or is turned to that. */
  readonly pending: 'finish' | 'newest';
  /** How old a backup's last state may be before it is not kept waiting for newer ones. */
  readonly maxAgeMs: number;
}

/** Where a volume is exported; TCP on loopback only. */
export type NbdAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** How a consistent instant is found (DESIGN section 2, "Consistency"). Commands run in a shell. */
export interface ConsistencyPolicy {
  /** No write for this long after a flush makes the grade `quiet`. */
  readonly quietMs: number;
  /** How long to wait for that. */
  readonly deadlineMs: number;
  readonly atDeadline: 'crash' | 'skip';
  readonly before: string | null;
  readonly after: string | null;
  readonly notice: string | null;
  /** Between the notice and the snapshot. */
  readonly graceMs: number;
}

/** A backup that this primary sends to. */
export interface BackupPeer {
  readonly name: string;
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Tried in this order; empty: the backup calls. */
  readonly links: readonly CallLink[];
}

/** A primary that may keep copies on this backup. */
export interface PrimaryPeer {
  readonly name: string;
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** null: keep every restore point. */
  readonly keep: KeepPolicy | null;
  readonly drill: { readonly command: string; readonly schedule: string } | null;
  /** What is stored of its volumes is read and checked; `bytesPerSecond` null: as the disk gives it. */
  readonly scrub: { readonly schedule: string; readonly bytesPerSecond: number | null } | null;
  /** Raise an event when nothing was heard for this long. */
  readonly silentAfterMs: number | null;
  readonly poll: { readonly schedule: string; readonly links: readonly CallLink[] } | null;
}

/** How many restore points of each kind to keep; 0: none of that kind. At least one is above 0. */
export interface KeepPolicy {
  readonly last: number;
  readonly hourly: number;
  readonly daily: number;
  readonly weekly: number;
  readonly monthly: number;
}

/** A link that carries less is hung up; null: however little. */
export type LinkFloor = { readonly minBytesPerSecond: number; readonly overMs: number } | null;

export interface SerialPortSettings {
  readonly type: 'serial';
  /** Path of the line. */
  readonly device: string;
  readonly baudRate: number;
  /** How the devices on it stop each other; left out: not at all. */
  readonly flow?: 'none' | 'rtscts' | 'xonxoff';
}

export interface TcpAddress {
  readonly type: 'tcp';
  readonly host: string;
  readonly port: number;
}

/** A way to call a peer. */
export type CallLink = (SerialPortSettings | ModemCall | TcpAddress) & { readonly floor: LinkFloor };

export interface ModemCall {
  readonly type: 'modem';
  readonly device: string;
  readonly baudRate: number;
  /** The number as the modem dials it. */
  readonly dial: string;
  /** When calls may be made; null: always. */
  readonly window: TimeWindow | null;
  /** How often it may be dialled within 24 hours. */
  readonly callsPerDay: number;
  /** For reports; in the operator's currency. */
  readonly costPerMinute: number | null;
  readonly init: ModemInit;
  readonly flow: ModemFlow;
  /** From the dial command until the modems are connected. */
  readonly connectTimeoutMs: number;
}

/** Commands that set the modem up, each beginning with AT; null: those of `transport/modem/hayes.ts`. */
export type ModemInit = readonly string[] | null;

/** How modem and computer stop each other: by the wires RTS and CTS, or not at all. */
export type ModemFlow = 'rtscts' | 'none';

/** Local time of day in minutes since midnight; `end` below `start` runs over midnight; never equal. */
export interface TimeWindow {
  readonly startMinute: number;
  readonly endMinute: number;
}

/** A port on which a peer may call. */
export type ListenPort = SerialPortSettings | ModemAnswer | TcpAddress;

export interface ModemAnswer {
  readonly type: 'modem';
  readonly device: string;
  readonly baudRate: number;
  /** Rings before the call is taken. */
  readonly answerAfter: number;
  readonly init: ModemInit;
  readonly flow: ModemFlow;
}
