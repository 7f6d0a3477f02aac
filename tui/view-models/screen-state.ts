import type { ApplianceStatus } from '../../src/appliance/status.js';
import type { PointSummary } from '../../src/control/appliance-control.js';
import type { Glyphs } from './glyphs.js';
import type { Pace } from './pace.js';
import type { Calendar } from './quantities.js';
import type { Tone } from './row.js';

/** All that the screen is a picture of. */
export interface ScreenState {
  /** The last one heard; null: none yet. */
  readonly status: ApplianceStatus | null;
  /** When it was heard (ms since 1970). */
  readonly heardAt: number;
  /** Why there is no newer status; null: it is the newest. */
  readonly stale: string | null;
  /** Name of the chosen volume; null: there is none. */
  readonly chosen: string | null;
  /** Restore points of the chosen volume, newest first; null: not known (yet, or to this role). */
  readonly points: readonly PointSummary[] | null;
  readonly pace: Pace;
  /** What the last key has brought about. */
  readonly message: { readonly text: string; readonly tone: Tone } | null;
  /** How many of the newest events are scrolled out of sight. */
  readonly eventsBack: number;
  /** Whether the UI runs within the appliance, so that quitting stops it. */
  readonly owner: boolean;
}

/** What a picture needs beside its subject. */
export interface Drawing {
  /** Cells. */
  readonly width: number;
  /** ms since 1970. */
  readonly now: number;
  readonly glyphs: Glyphs;
  readonly calendar: Calendar;
}
