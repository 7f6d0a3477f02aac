import { isMap, isNode, isScalar, isSeq, LineCounter, parseDocument, type Document } from 'yaml';
import type { ConfigProblem } from './config-error.js';

/** Path to a value in the file: keys and list indexes, as zod reports it. */
export type KeyPath = readonly PropertyKey[];

/** A parsed YAML text that still knows on which line each value stands. */
export class YamlSource {
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();

  constructor(text: string) {
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
  }

  /** What makes the text unusable as YAML: the first fault, since the others mostly follow from it. */
  get problems(): readonly ConfigProblem[] {
    return this.#document.errors.slice(0, 1).map((error) => ({
      line: this.#lines.linePos(error.pos[0]).line,
      key: '',
      found: `a YAML error (${error.message})`,
      allowed: 'one YAML document with every key once',
    }));
  }

  /** The text as plain values; only without `problems`. */
  get value(): unknown {
    return this.#document.toJS({ maxAliasCount: 100 }) as unknown;
  }

  /** Line of the value at `path`, from 1; of the nearest thing around it where there is none. */
  lineOf(path: KeyPath): number {
    let node: unknown = this.#document.contents;
    let start = offsetOf(node);
    for (const step of path) {
      if (isMap(node)) {
        const pair = node.items.find(({ key }) => (isScalar(key) ? key.value : key) === step);
        if (pair === undefined) break;
        start = offsetOf(pair.key) ?? start;
        node = pair.value;
      } else if (isSeq(node)) {
        node = node.items[Number(step)];
        start = offsetOf(node) ?? start;
      } else {
        break;
      }
    }
    return this.#lines.linePos(start ?? 0).line;
  }
}

const offsetOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined);

/** `volumes[0].blockSize`. */
export function showPath(path: KeyPath): string {
  return path.reduce<string>(
    (shown, step) =>
      typeof step === 'number' ? `${shown}[${step}]` : `${shown}${shown === '' ? '' : '.'}${String(step)}`,
    '',
  );
}

/** A value in the words of an error message; long ones are cut, and secrets never stand in this file. */
export function showValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return 'a mapping';
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : `a ${typeof value}`;
}

export function valueAt(root: unknown, path: KeyPath): unknown {
  return path.reduce<unknown>(
    (value, step) =>
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[step] : undefined,
    root,
  );
}
