import type { Terminal } from '../terminal.js';
import type { Dialog } from '../view-models/dialog.js';
import { widthOf, type Row } from '../view-models/row.js';
import blessed from './blessed.js';
import { markup, type Palette } from './markup.js';

/** What blessed knows of the terminal and its types do not say. */
interface TerminalFacts {
  readonly unicode: boolean;
  readonly colors: number;
}

/** Whose handlers blessed brings along. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const;

/** The terminal of this process. One at a time; the screen is its own from the constructor to `close`. */
export class BlessedTerminal implements Terminal {
  readonly #screen: blessed.Widgets.Screen;
  readonly #canvas: blessed.Widgets.BoxElement;
  readonly #dialog: blessed.Widgets.BoxElement;
  readonly #facts: TerminalFacts;
  readonly #palette: Palette;
  #open = true;

  constructor() {
    const handlers = SIGNALS.map((signal) => process.listeners(signal));
    this.#screen = blessed.screen({
      smartCSR: true,
      autoPadding: false,
      warnings: false,
      title: 'farcopy',
      forceUnicode: speaksUnicode(process.env),
    });
    // Blessed ends the process at a signal once nobody else listens: in the middle of the appliance's clean stop.
    SIGNALS.forEach((signal, at) => removeOthers(signal, handlers[at] ?? []));
    this.#facts = (this.#screen as unknown as { readonly tput: TerminalFacts }).tput;
    this.#palette = { colours: this.#facts.colors };
    this.#canvas = blessed.box({ top: 0, left: 0, width: '100%', height: '100%', tags: true, wrap: false });
    this.#dialog = blessed.box({
      top: 'center',
      left: 'center',
      border: 'line',
      tags: true,
      wrap: false,
      hidden: true,
    });
    this.#screen.append(this.#canvas);
    this.#screen.append(this.#dialog);
    // The screen must be gone before the error that ends the process is printed, or it is printed on the screen.
    process.prependListener('uncaughtException', this.#restore);
  }

  get width(): number {
    return Number(this.#screen.width);
  }
  get height(): number {
    return Number(this.#screen.height);
  }
  get unicode(): boolean {
    return this.#facts.unicode;
  }

  show(rows: readonly Row[], dialog: Dialog | null): void {
    if (!this.#open) return;
    this.#canvas.setContent(rows.map((row) => markup(row, this.#palette)).join('\n'));
    if (dialog === null) this.#dialog.hide();
    else this.#showDialog(dialog);
    this.#screen.render();
  }

  #showDialog({ title, rows }: Dialog): void {
    const widest = Math.max(title.length + 4, ...rows.map(widthOf));
    this.#dialog.width = Math.min(this.width, widest + 6);
    this.#dialog.height = Math.min(this.height, rows.length + 4);
    this.#dialog.setLabel(` {bold}${title}{/bold} `);
    this.#dialog.setContent(['', ...rows.map((row) => `  ${markup(row, this.#palette)}`)].join('\n'));
    this.#dialog.show();
  }

  onKey(take: (key: string) => void): void {
    this.#screen.on('keypress', (character: string | undefined, key?: { readonly full?: string }) => {
      const name = key?.full ?? character;
      if (name !== undefined) take(name);
    });
  }

  onResize(redraw: () => void): void {
    this.#screen.on('resize', redraw);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.removeListener('uncaughtException', this.#restore);
    this.#screen.destroy();
  }

  readonly #restore = (): void => this.close();
}

/** As POSIX has it: the first of these that is set decides. Blessed takes any of them for a yes. */
function speaksUnicode(environment: NodeJS.ProcessEnv): boolean {
  const locale = [environment['LC_ALL'], environment['LC_CTYPE'], environment['LANG']].find(
    (value) => value !== undefined && value !== '',
  );
  return locale !== undefined && /utf-?8/i.test(locale);
}

function removeOthers(signal: NodeJS.Signals, keep: readonly NodeJS.SignalsListener[]): void {
  for (const listener of process.listeners(signal)) {
    if (!keep.includes(listener)) process.removeListener(signal, listener);
  }
}
