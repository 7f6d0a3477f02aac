import { expect } from 'chai';
import { PassThrough, type Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { StreamTransport } from '../../../src/transport/stream-transport.js';
import { VirtualClock } from '../../support/virtual-clock.js';

/** What a holder hears while these chunks come on a line of that speed. */
async function heard(chunks: readonly string[], bytesPerSecond: number | undefined): Promise<string[]> {
  const told: string[] = [];
  const stream = new PassThrough();
  const frames = new PassThrough({ objectMode: true });
  const transport = new StreamTransport(stream, {
    name: 'line',
    type: 'serial',
    bytesPerSecond,
    clock: new VirtualClock(),
    cut: () => frames,
    shut: (line: Duplex) => {
      line.destroy();
      return Promise.resolve();
    },
  });
  transport.attach({
    onFrame: () => undefined,
    onArriving: () => told.push('arriving'),
    onReady: () => undefined,
    onClosed: () => undefined,
  });
  for (const chunk of chunks) {
    stream.write(Buffer.from(chunk, 'hex'));
    await turn();
    told.push('|');
  }
  stream.destroy();
  return told;
}

describe('a transport over a stream', () => {
  it('tells of bytes that belong to a frame which has not ended', async () => {
    expect(await heard(['010203', '04', '0500', '010005'], 960)).to.deep.equal([
      'arriving',
      '|',
      'arriving',
      '|',
      '|',
      'arriving',
      '|',
    ]);
  });

  it('tells nothing of that on a line of unknown rate', async () => {
    expect(await heard(['010203', '0405'], undefined)).to.deep.equal(['|', '|']);
  });
});
