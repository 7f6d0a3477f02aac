import { mkdtempSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How one thing that a test set up is taken down again. */
interface Undo {
  readonly what: string;
  readonly undo: () => Promise<void> | void;
  /** Used when the whole test process ends early; must be synchronous. */
  readonly lastResort: (() => void) | undefined;
}

/**
 * A folder in the machine's temporary space, and everything outside it that a test has to take down again:
 * processes, mounts, loop devices. They go in reverse order, each one even if another failed. Set
 * `FARCOPY_KEEP=1` to look at the folder afterwards.
 */
export class Sandbox {
  static readonly #open = new Set<Sandbox>();
  readonly #undos: Undo[] = [];
  readonly #notes: (() => string)[] = [];

  private constructor(readonly folder: string) {}

  /** The name is short on purpose: socket paths in it must stay below 108 bytes. */
  static create(): Sandbox {
    const sandbox = new Sandbox(mkdtempSync(join(tmpdir(), 'fc-')));
    if (Sandbox.#open.size === 0) process.on('exit', Sandbox.#leave).on('SIGTERM', Sandbox.#terminate);
    Sandbox.#open.add(sandbox);
    return sandbox;
  }

  path(...parts: readonly string[]): string {
    return join(this.folder, ...parts);
  }

  /** Registers how to take something down. The function returned does it now, at most once. */
  defer(what: string, undo: () => Promise<void> | void, lastResort?: () => void): () => Promise<void> {
    const entry: Undo = { what, undo, lastResort };
    this.#undos.push(entry);
    return async () => {
      const at = this.#undos.indexOf(entry);
      if (at < 0) return;
      this.#undos.splice(at, 1);
      await undo();
    };
  }

  /** Something to print if the test fails, such as the last lines of a log; asked for only then. */
  note(tell: () => string): void {
    this.#notes.push(tell);
  }

  story(): string {
    return this.#notes.map((tell) => tell()).join('\n');
  }

  async close(): Promise<void> {
    const problems: Error[] = [];
    for (let entry = this.#undos.pop(); entry !== undefined; entry = this.#undos.pop()) {
      try {
        await entry.undo();
      } catch (cause) {
        problems.push(new Error(`while taking down ${entry.what}: ${(cause as Error).message}`, { cause }));
      }
    }
    Sandbox.#open.delete(this);
    if (Sandbox.#open.size === 0) process.off('exit', Sandbox.#leave).off('SIGTERM', Sandbox.#terminate);
    if (process.env['FARCOPY_KEEP'] === '1') console.log(`      kept: ${this.folder}`);
    else await rm(this.folder, { recursive: true, force: true });
    if (problems.length > 0) throw new AggregateError(problems, problems.map((p) => p.message).join('; '));
  }

  /** Without a listener SIGTERM ends the process at once, and `exit` is never told. */
  static readonly #terminate = (): void => process.exit(143);

  static readonly #leave = (): void => {
    for (const sandbox of Sandbox.#open) {
      for (const { lastResort } of sandbox.#undos.reverse()) {
        try {
          lastResort?.();
        } catch {
          // The process is ending; the next thing must still be taken down.
        }
      }
      if (process.env['FARCOPY_KEEP'] !== '1') rmSync(sandbox.folder, { recursive: true, force: true });
    }
  };
}

/**
 * A fresh sandbox for each test of the surrounding `describe`. When a test fails its notes are printed before the
 * sandbox goes.
 */
export function sandboxPerTest(): () => Sandbox {
  let sandbox: Sandbox | undefined;
  beforeEach(() => {
    sandbox = Sandbox.create();
  });
  afterEach(async function () {
    this.timeout(60_000);
    if (this.currentTest?.state === 'failed') console.log(sandbox?.story() ?? '');
    await sandbox?.close();
    sandbox = undefined;
  });
  return () => {
    if (sandbox === undefined) throw new Error('a sandbox exists only while a test runs');
    return sandbox;
  };
}
