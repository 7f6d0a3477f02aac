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
  /** Called before each operation; may take disks as they would be left now. */
  readonly onOperation?: (operation: Operation) => void;
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
        options.onOperation?.(operation);
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

  /** The disks as they are now, with what is not synced, to be asked later what may be left of them. */
  frozen(): CrashFiles {
    return new CrashFiles({}, cloneFolder(this.root));
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

/** A copy that knows the same of what is synced. Contents are never changed in place, so they are shared. */
function cloneFolder(folder: FolderNode, copies = new Map<Node, Node>()): FolderNode {
  const cloned = (node: Node): Node => {
    const known = copies.get(node);
    if (known !== undefined) return known;
    if (node instanceof FolderNode) return cloneFolder(node, copies);
    const copy = new FileNode();
    copies.set(node, copy);
    copy.content = node.content;
    copy.synced = node.synced;
    copy.changes = [...node.changes];
    return copy;
  };
  const copy = new FolderNode();
  copies.set(folder, copy);
  for (const [name, node] of folder.entries) copy.entries.set(name, cloned(node));
  copy.synced = new Map([...folder.synced].map(([name, node]) => [name, cloned(node)]));
  copy.changes = folder.changes.map((change) =>
    change.map(({ name, node }) => ({ name, node: node && cloned(node) })),
  );
  return copy;
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
