import type { Terminal } from '../../tui/terminal.js';
import type { Dialog } from '../../tui/view-models/dialog.js';
import type { Row } from '../../tui/view-models/row.js';
import { textsOf } from './statuses.js';

/** A terminal that keeps what was drawn last, and takes keys from the test. */
export class FakeTerminal implements Terminal {
  width = 80;
  height = 24;
  readonly unicode = true;
  closed = false;
  #rows: readonly string[] = [];
  #dialog: Dialog | null = null;
  #take: (key: string) => void = () => undefined;
  #redraw: () => void = () => undefined;

  show(rows: readonly Row[], dialog: Dialog | null): void {
    if (this.closed) throw new Error('drawn on after it was given back');
    this.#rows = textsOf(rows);
    this.#dialog = dialog;
  }
  onKey(take: (key: string) => void): void {
    this.#take = take;
  }
  onResize(redraw: () => void): void {
    this.#redraw = redraw;
  }
  close(): void {
    this.closed = true;
  }

  press(...keys: readonly string[]): void {
    for (const key of keys) this.#take(key);
  }
  resize(width: number, height: number): void {
    this.width = width;
    this.height = height;
    this.#redraw();
  }
  get text(): string {
    return this.#rows.join('\n');
  }
  get rows(): readonly string[] {
    return this.#rows;
  }
  /** The line above the keys. */
  get message(): string {
    return (this.#rows.at(-2) ?? '').trim();
  }
  get chosen(): string {
    return /▸ {2}(\S+)/.exec(this.text)?.[1] ?? '';
  }
  /** Title and text of the open dialog; empty: none is open. */
  get dialog(): string {
    return this.#dialog === null ? '' : [this.#dialog.title, ...textsOf(this.#dialog.rows)].join('\n');
  }
}
