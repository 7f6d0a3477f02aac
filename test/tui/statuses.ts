import type {
  ApplianceEvent,
  ApplianceStatus,
  LinkStatus,
  TransferStatus,
  VolumeStatus,
} from '../../src/appliance/status.js';
import { ASCII_GLYPHS, UNICODE_GLYPHS } from '../../tui/view-models/glyphs.js';
import { NO_PACE } from '../../tui/view-models/pace.js';
import { Calendar } from '../../tui/view-models/quantities.js';
import { textOf, type Panel, type Row } from '../../tui/view-models/row.js';
import type { Drawing, ScreenState } from '../../tui/view-models/screen-state.js';

/** The instant at which all these screens are drawn. */
export const NOW = Date.parse('2026-11-22T14:36:29Z');

/** ISO 8601, so many seconds before `NOW`. */
export const before = (seconds: number): string => new Date(NOW - seconds * 1000).toISOString();

export const drawing = (more: Partial<Drawing> = {}): Drawing => ({
  width: 80,
  now: NOW,
  glyphs: UNICODE_GLYPHS,
  calendar: new Calendar('UTC'),
  ...more,
});

export const ascii = (more: Partial<Drawing> = {}): Drawing => drawing({ glyphs: ASCII_GLYPHS, ...more });

export const link = (more: Partial<LinkStatus> = {}): LinkStatus => ({
  name: 'vault: /dev/ttyS0',
  type: 'serial',
  state: 'connected',
  peer: 'vault',
  bytesSent: 2048,
  bytesReceived: 100,
  framesSent: 9,
  framesReceived: 8,
  framesDamaged: 0,
  framesRepeated: 2,
  bytesRepeated: 300,
  lastError: null,
  ...more,
});

export const volume = (more: Partial<VolumeStatus> = {}): VolumeStatus => ({
  name: 'ledger',
  sizeBytes: 512 << 20,
  blockSize: 4096,
  dirtyBlocks: 1204,
  lastState: { id: '609c5326aa', time: before(200), grade: 'application' },
  transfer: null,
  warnings: [],
  ...more,
});

export const transfer = (more: Partial<TransferStatus> = {}): TransferStatus => ({
  peer: 'vault',
  to: { id: '7eb57d1300', time: before(20), grade: 'quiet' },
  phase: 'sending',
  blocks: 7325,
  bytesHeld: 3 << 20,
  bytesTotal: 8 << 20,
  fraction: 0.25,
  secondsLeft: 250,
  ...more,
});

export const event = (
  text: string,
  level: ApplianceEvent['level'] = 'info',
  time = before(60),
): ApplianceEvent => ({
  text,
  level,
  time,
});

export const primary = (more: Partial<ApplianceStatus> = {}): ApplianceStatus => ({
  schema: 1,
  role: 'primary',
  name: 'branch-12',
  links: [link()],
  volumes: [volume()],
  peers: [{ name: 'vault', link: 'vault: /dev/ttyS0', lastHeard: before(0) }],
  events: [event('connected to vault over /dev/ttyS0 (farcopy 0.1)')],
  ...more,
});

export const backup = (more: Partial<ApplianceStatus> = {}): ApplianceStatus => ({
  ...primary(),
  role: 'backup',
  name: 'vault',
  links: [link({ name: '/dev/ttyS0', peer: 'branch-12' })],
  volumes: [volume({ name: 'branch-12/ledger', dirtyBlocks: 0 })],
  peers: [
    { name: 'branch-12', link: '/dev/ttyS0', lastHeard: before(0) },
    { name: 'branch-13', link: null, lastHeard: null },
  ],
  events: [event('branch-12 has called over /dev/ttyS0 (farcopy 0.1)')],
  ...more,
});

export const screenState = (
  status: ApplianceStatus | null,
  more: Partial<ScreenState> = {},
): ScreenState => ({
  status,
  heardAt: NOW,
  stale: null,
  chosen: status?.volumes[0]?.name ?? null,
  points: null,
  pace: NO_PACE,
  message: null,
  eventsBack: 0,
  owner: true,
  ...more,
});

export const textsOf = (rows: readonly Row[]): readonly string[] => rows.map((row) => textOf(row).trimEnd());

/** Head and rows of a panel as text. */
export const panelText = ({ head, rows }: Panel): readonly string[] =>
  textsOf([...(head === undefined ? [] : [head]), ...rows]);
