import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync } from 'node:fs';
import { readlink, rm } from 'node:fs/promises';
import type { Sandbox } from './sandbox.js';
import { ByteMeter, type Line } from './line.js';
import { until } from './until.js';

/** What a line holds while nobody reads it; what comes on top is lost, as on a line without flow control. */
const LINE_BUFFER_BYTES = 1 << 20;

/**
 * A null-modem cable: two pseudo-terminals under fixed names, each kept by a socat, with this process in the middle
 * to count what crosses. It has no speed of its own: the product paces by its `baudRate`.
 */
export class PtyPair implements Line {
  /** The two ends' device names; they stay the same over `cut` and `restore`. */
  readonly left: string;
  readonly right: string;
  #ends: readonly [PtyEnd, PtyEnd] | undefined;
  readonly #meter = new ByteMeter();
  #lost = 0;
  /** What the line does to the bytes that cross it, either way. */
  bend: (bytes: Buffer) => Buffer = (bytes) => bytes;

  private constructor(sandbox: Sandbox, name: string) {
    this.left = sandbox.path(`${name}-left`);
    this.right = sandbox.path(`${name}-right`);
  }

  static async open(sandbox: Sandbox, name = 'line'): Promise<PtyPair> {
    const pair = new PtyPair(sandbox, name);
    await pair.restore();
    sandbox.defer(
      `line ${name}`,
      () => pair.cut(),
      () => pair.#ends?.forEach((end) => end.kill()),
    );
    return pair;
  }

  get bytes(): Line['bytes'] {
    return this.#meter.bytes;
  }

  /** How many of them were thrown away because the other end was not read. */
  get bytesLost(): number {
    return this.#lost;
  }

  crossed(more: number): Promise<void> {
    return this.#meter.crossed(more);
  }

  /** Kills both socats: the devices hang up and their names vanish. Bytes under way are lost. */
  async cut(): Promise<void> {
    const ends = this.#ends;
    this.#ends = undefined;
    if (ends === undefined) return;
    await Promise.all(ends.map((end) => end.close()));
  }

  /** Brings the line back under the same names. */
  async restore(): Promise<void> {
    if (this.#ends !== undefined) return;
    const [left, right] = await Promise.all([PtyEnd.open(this.left), PtyEnd.open(this.right)]);
    left.onBytes((bytes) => {
      this.#hand(bytes, right);
      this.#meter.count(bytes.length, 0);
    });
    right.onBytes((bytes) => {
      this.#hand(bytes, left);
      this.#meter.count(0, bytes.length);
    });
    this.#ends = [left, right];
  }

  #hand(bytes: Buffer, to: PtyEnd): void {
    if (to.waiting + bytes.length > LINE_BUFFER_BYTES) this.#lost += bytes.length;
    else to.write(this.bend(bytes));
  }
}

/** One end: a socat between a pty under a fixed name and its own standard input and output. */
export class PtyEnd {
  private constructor(
    readonly link: string,
    readonly child: ChildProcessWithoutNullStreams,
    /** Kept open so that the master stays up while an appliance is down, as a real port does. */
    readonly holder: number,
  ) {}

  static async open(link: string): Promise<PtyEnd> {
    await rm(link, { force: true });
    const child = spawn('socat', ['-b', '4096', `pty,raw,echo=0,link=${link}`, 'stdio'], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
    child.stdin.on('error', () => undefined);
    child.on('error', (cause) => (complaint += cause.message));
    await until(
      `socat makes ${link}`,
      () =>
        readlink(link).then(
          () => true,
          () => false,
        ),
      { seen: () => complaint },
    );
    const holder = openSync(link, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
    return new PtyEnd(link, child, holder);
  }

  onBytes(take: (bytes: Buffer) => void): void {
    this.child.stdout.on('data', take);
  }

  /** Bytes accepted by `write` that socat has not taken yet. */
  get waiting(): number {
    return this.child.stdin.writableLength;
  }

  write(bytes: Buffer): void {
    if (this.child.stdin.writable) this.child.stdin.write(bytes);
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }

  async close(): Promise<void> {
    const gone =
      this.child.exitCode !== null || this.child.signalCode !== null || this.child.pid === undefined
        ? Promise.resolve()
        : once(this.child, 'exit');
    this.child.stdout.removeAllListeners('data');
    this.kill();
    await gone;
    // The name goes after the master: an appliance that looks in between sees a device that fails to open.
    await rm(this.link, { force: true });
    closeSync(this.holder);
  }
}
