import type { Dialog } from './view-models/dialog.js';
import type { Row } from './view-models/row.js';

/** The screen and the keyboard, as the UI uses them. */
export interface Terminal {
  readonly width: number;
  readonly height: number;
  /** Whether it shows more than ASCII. */
  readonly unicode: boolean;
  /** Draws the lines from the top, and the dialog above them. */
  show(rows: readonly Row[], dialog: Dialog | null): void;
  /** Keys by name: `s`, `?`, `up`, `pagedown`, `escape`, `C-c`. */
  onKey(take: (key: string) => void): void;
  onResize(redraw: () => void): void;
  /** Gives the terminal back as it was found. Again and again harmless. */
  close(): void;
}
