/** The few signs beyond ASCII that the screen uses, and what stands for them where a terminal cannot show them. */
export interface Glyphs {
  /** A horizontal line, one cell. */
  readonly rule: string;
  /** The done and the open part of a bar. */
  readonly full: string;
  readonly open: string;
  /** Stands for what was cut off. */
  readonly cut: string;
  /** Marks the chosen volume. */
  readonly chosen: string;
  readonly arrow: string;
  /** Between parts of a line. */
  readonly dot: string;
  readonly up: string;
  readonly down: string;
}

export const UNICODE_GLYPHS: Glyphs = {
  rule: '─',
  full: '█',
  open: '░',
  cut: '…',
  chosen: '▸',
  arrow: '→',
  dot: '·',
  up: '↑',
  down: '↓',
};

export const ASCII_GLYPHS: Glyphs = {
  rule: '-',
  full: '#',
  open: '.',
  cut: '~',
  chosen: '>',
  arrow: '->',
  dot: '-',
  up: '^',
  down: 'v',
};
