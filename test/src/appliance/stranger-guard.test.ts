import { expect } from 'chai';
import { StrangerGuard } from '../../../src/appliance/stranger-guard.js';
import type { TransportError } from '../../../src/transport/errors.js';
import type { Transport, TransportHandler } from '../../../src/transport/transport.js';

/** A line of which the test decides what a read brings. */
class FakeLine implements Transport {
  readonly name = 'tcp test';
  readonly type = 'tcp';
  readonly bytesPerSecond = undefined;
  readonly bytesSent = 0;
  readonly ready = true;
  bytesReceived = 0;
  handler: TransportHandler | null = null;

  attach(handler: TransportHandler): void {
    this.handler = handler;
  }

  send(): void {
    throw new Error('nothing is sent here');
  }

  abandon(): void {
    throw new Error('nothing is sent here');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** One read of the socket: counted as a whole before its frames are handed on. */
  read(frames: readonly Uint8Array[]): void {
    this.bytesReceived += frames.reduce((sum, frame) => sum + frame.byteLength + 1, 0);
    for (const frame of frames) this.handler?.onFrame(frame);
  }
}

describe('the guard before a caller is known', () => {
  let line: FakeLine;
  let guard: StrangerGuard;
  let taken: Uint8Array[];
  let ended: (TransportError | null)[];

  beforeEach(() => {
    line = new FakeLine();
    guard = new StrangerGuard(line);
    taken = [];
    ended = [];
    guard.attach({
      onFrame: (frame) => taken.push(frame),
      onReady: () => undefined,
      onClosed: (error) => ended.push(error),
    });
  });

  it('lets the proof pass together with much that follows it in the same read', () => {
    const frames = Array.from({ length: 40 }, () => new Uint8Array(1500));
    line.handler?.onFrame(new Uint8Array(200));
    line.bytesReceived = 200;
    const { handler } = line;
    const trusting: TransportHandler = {
      onFrame: (frame) => {
        handler?.onFrame(frame);
        guard.trust();
      },
      onReady: () => undefined,
      onClosed: () => undefined,
    };
    line.handler = trusting;
    line.read(frames);
    expect(taken).to.have.lengthOf(41);
    expect(ended).to.deep.equal([]);
  });

  it('closes the line of a stranger who says too much, once', () => {
    line.read(Array.from({ length: 10 }, () => new Uint8Array(16_000)));
    expect(taken).to.have.lengthOf(1);
    expect(ended.map((error) => error?.code)).to.deep.equal(['closed']);
  });

  it('closes the line of a stranger who says many small things', () => {
    line.read(Array.from({ length: 100 }, () => new Uint8Array(3)));
    expect(taken).to.have.lengthOf(8);
    expect(ended).to.have.lengthOf(1);
  });
});
