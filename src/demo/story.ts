/** Where the demo is told. */
export interface StoryOutput {
  write(text: string): void;
  readonly isTTY: boolean;
}

const BAR_CELLS = 30;
const ESC = '\u001b';

/** The demo's voice: headings, lines, and one moving line on a terminal. */
export class Story {
  readonly #out: StoryOutput;
  #moving = false;

  constructor(out: StoryOutput) {
    this.#out = out;
  }

  heading(text: string): void {
    this.#settle();
    this.#out.write(`\n${this.#out.isTTY ? `${ESC}[1m${text}${ESC}[0m` : text}\n`);
  }

  line(text: string): void {
    this.#settle();
    this.#out.write(`  ${text}\n`);
  }

  /** A progress bar that is drawn over; not shown where there is no terminal. */
  progress(fraction: number, text: string): void {
    if (!this.#out.isTTY) return;
    const full = Math.round(Math.max(0, Math.min(1, fraction)) * BAR_CELLS);
    this.#out.write(`\r${ESC}[K  [${'#'.repeat(full)}${'.'.repeat(BAR_CELLS - full)}] ${text}`);
    this.#moving = true;
  }

  #settle(): void {
    if (this.#moving) this.#out.write(`\r${ESC}[K`);
    this.#moving = false;
  }
}

/** Bytes as people read them. */
export function sizeText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} bytes`;
  return bytes < 10_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
