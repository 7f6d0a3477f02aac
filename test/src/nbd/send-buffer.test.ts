import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { connect, createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { widenSendBuffer } from '../../../src/nbd/send-buffer.js';
import { testFolder } from './serving.js';

/** A structured reply to a READ of 256 KiB. */
const REPLY_BYTES = (256 << 10) + 28;

function mostThatMayBeAsked(): number {
  try {
    return Number(readFileSync('/proc/sys/net/core/wmem_max', 'utf8'));
  } catch {
    return 0;
  }
}

describe('the send buffer of a Unix socket', () => {
  it('takes a reply of 256 KiB as a whole, before the client reads any of it', async function () {
    if (mostThatMayBeAsked() < 212_992) this.skip();
    const path = join(testFolder(), 's');
    const server = createServer({ pauseOnConnect: true });
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const client = connect(path).pause();
    const socket = await accepted;
    try {
      expect(widenSendBuffer(socket)).to.equal(true);
      socket.write(Buffer.alloc(REPLY_BYTES));
      expect(socket.writableLength).to.equal(0);
    } finally {
      socket.destroy();
      client.destroy();
      server.close();
    }
  });

  it('is left as it is where there is no descriptor', () => {
    expect(widenSendBuffer(new Socket())).to.equal(false);
    for (const fields of [{}, { _handle: null }, { _handle: {} }, { _handle: { fd: -1 } }]) {
      expect(widenSendBuffer(fields as unknown as Socket)).to.equal(false);
    }
  });
});
