import type { FileErrorCode } from '../../src/platform/files.js';
import {
  applyFolderChange,
  changed,
  fault,
  FileNode,
  FolderNode,
  MemoryFiles,
  type FileChange,
  type Node,
  type Operation,
} from './memory-files.js';
import { chance, pick, shuffle } from './seeded-choices.js';
import { Seeded } from './seeded.js';

/** The machine stopped here: thrown by the operation it stopped at and by everything after it. */
export class CrashError extends Error {
  override readonly name = 'CrashError';
  constructor() {
    super('the machine has stopped');
  }
}

export interface CrashOptions {
  /** The operation (from 0) at which the machine stops; never, if absent. A write is then cut in the middle. */
  readonly crashAt?: number;
  /** The operation that fails, once, with a file error. */
  readonly failAt?: { readonly operation: number; readonly code: FileErrorCode };
}

/**
 * `Files` in memory that stop, or fail, at a chosen operation, and then tell which disks may remain. An operation is
 * a step that changes the disk or makes it durable; reading does not count.
 */
export class CrashFiles extends MemoryFiles {
  /** Operations so far, in order. */
  readonly log: Operation[];
  readonly #isCrashed: () => boolean;

  constructor(options: CrashOptions = {}, root: FolderNode = new FolderNode()) {
    const log: Operation[] = [];
    let crashed = false;
    super(
      root,
      (operation) => {
        if (crashed) throw new CrashError();
        const number = log.push(operation) - 1;
        if (number === options.crashAt) {
          crashed = true;
          return { writeOnly: 0.5, error: new CrashError() };
        }
        if (options.failAt !== undefined && number === options.failAt.operation) {
          return { writeOnly: 0.5, error: fault(options.failAt.code, operation.path) };
        }
        return null;
      },
      () => {
        if (crashed) throw new CrashError();
      },
    );
    this.log = log;
    this.#isCrashed = () => crashed;
  }

  /** Did the chosen operation come. */
  get hasCrashed(): boolean {
    return this.#isCrashed();
  }

  /** The disk after the process was killed: everything that was done, synced or not. */
  killed(options: CrashOptions = {}): CrashFiles {
    return new CrashFiles(
      options,
      copyFolder(this.root, asItIs, (folder) => folder.entries),
    );
  }

  /**
   * A disk that may be left by a power cut: of what was not synced, the seed decides what is there, what is lost, what
   * is torn, and in which order it got there.
   */
  powerCut(seed: number, options: CrashOptions = {}): CrashFiles {
    const seeded = new Seeded(seed);
    const survive = (node: FileNode): Uint8Array<ArrayBuffer> => surviving(node, seeded);
    const entries = (folder: FolderNode): Map<string, Node> => {
      const left = new Map(folder.synced);
      const keep = pick(seeded, [0, 0.5, 1]);
      for (const change of folder.changes) if (chance(seeded, keep)) applyFolderChange(left, change);
      return left;
    };
    return new CrashFiles(options, copyFolder(this.root, survive, entries));
  }
}

const asItIs = (node: FileNode): Uint8Array<ArrayBuffer> => node.content.slice();

/** What is left of a file: its synced content and some of its changes, whole, torn, in some order. */
function surviving(node: FileNode, seeded: Seeded): Uint8Array<ArrayBuffer> {
  const keep = pick(seeded, [0, 0.3, 0.7, 1]);
  const kept = node.changes.filter(() => chance(seeded, keep));
  const order = chance(seeded, 0.5) ? kept : shuffle(seeded, kept);
  return order.reduce((content, change) => changed(content, torn(change, seeded)), node.synced.slice());
}

function torn(change: FileChange, seeded: Seeded): FileChange {
  if (change.kind === 'truncate' || !chance(seeded, 0.2)) return change;
  const bytes = change.bytes.slice(0, seeded.below(change.bytes.byteLength + 1));
  return { ...change, bytes };
}

function copyFolder(
  folder: FolderNode,
  contentOf: (node: FileNode) => Uint8Array<ArrayBuffer>,
  entriesOf: (folder: FolderNode) => Map<string, Node>,
  copies = new Map<Node, Node>(),
): FolderNode {
  const copy = new FolderNode();
  for (const [name, node] of entriesOf(folder)) {
    const known = copies.get(node);
    let copied: Node;
    if (known !== undefined) {
      copied = known;
    } else if (node instanceof FolderNode) {
      copied = copyFolder(node, contentOf, entriesOf, copies);
    } else {
      copied = new FileNode();
      copied.content = contentOf(node);
      copied.synced = copied.content.slice();
    }
    copies.set(node, copied);
    copy.entries.set(name, copied);
  }
  copy.synced = new Map(copy.entries);
  return copy;
}
