import { expect } from 'chai';
import { Command } from '../../../src/nbd/wire.js';
import type { Clock } from '../../../src/platform/clock.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Client, type RawRequest } from './client.js';
import { MemoryExport } from './memory-export.js';
import { serving } from './serving.js';

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** Waits, without a fixed time, until something is so. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 100_000; i++) {
    if (isSo()) return;
    await turns(1);
  }
  throw new Error(`never came true: ${what}`);
}

/** A promise and its key. */
function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

describe('the bounds of a connection', () => {
  it('are kept for requests in flight, and all are answered in the end', async () => {
    const disk = new MemoryExport();
    const { opened, open } = gate();
    disk.hold = opened;
    const { address } = await serving([disk], { limits: { requestsInFlight: 5 } });
    const client = await Client.open(address);
    const requests = Array.from({ length: 50 }, (_, cookie): RawRequest => ({
      command: Command.read,
      cookie,
      length: 512,
    }));
    client.send(...requests);
    await until('the first requests are under way', () => disk.underWay === 5);
    await turns(50);
    expect(disk.underWay).to.equal(5);
    open();
    const cookies = new Set<number>();
    for (let i = 0; i < 50; i++) cookies.add((await client.reply()).cookie);
    expect(cookies.size).to.equal(50);
  });

  it('are kept for bytes in flight, where one long request may pass', async () => {
    const disk = new MemoryExport({ sizeBytes: 8 << 20 });
    const { opened, open } = gate();
    disk.hold = opened;
    const { address } = await serving([disk], { limits: { bytesInFlight: 1 << 20 } });
    const client = await Client.open(address);
    client.send(
      { command: Command.read, cookie: 1, length: 4 << 20 },
      { command: Command.read, cookie: 2, length: 512 },
    );
    await until('the long one is under way', () => disk.underWay === 1);
    await turns(50);
    expect(disk.underWay).to.equal(1);
    open();
    disk.hold = null;
    for (let done = 0; done < 2;) if ((await client.reply()).done) done++;
  });

  it('stop reading from a client that does not take its replies, and go on when it does', async () => {
    const disk = new MemoryExport({ sizeBytes: 1 << 20 });
    disk.bytes.fill(1);
    const { address } = await serving([disk]);
    const client = await Client.open(address, { structured: false });
    client.socket.pause();
    const count = 2000;
    client.send(
      ...Array.from({ length: count }, (_, cookie): RawRequest => ({
        command: Command.read,
        cookie,
        length: 65_536,
      })),
    );
    await until('requests were answered', () => disk.calls.length > 0);
    await turns(200);
    // 1 MiB of replies here, and what the kernel takes.
    expect(disk.calls.length).to.be.lessThan(200);
    client.socket.resume();
    for (let i = 0; i < count; i++) expect((await client.reply(65_536)).cookie).to.equal(i);
  });

  it('limit the clients of a server', async () => {
    const { address } = await serving([new MemoryExport()], { limits: { clients: 2 } });
    const first = await Client.open(address);
    await Client.open(address);
    await Client.raw(address).closed();
    first.send({ command: Command.disconnect });
    await first.closed();
    await Client.open(address);
  });

  it('end a handshake that takes too long, and not one that is done', async () => {
    const timers: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      after: (_delay, fire) => {
        timers.push(fire);
        return () => {
          timers.splice(timers.indexOf(fire), 1);
        };
      },
    };
    const { address } = await serving([new MemoryExport()], { clock });
    const slow = await Client.connect(address);
    const done = await Client.open(address);
    expect(timers).to.have.lengthOf(1);
    timers[0]?.();
    await slow.closed();
    expect((await done.ask({ command: Command.flush })).error).to.equal(0);
    done.socket.destroy();
    await until('no timer is left', () => timers.length === 0);
  });
});

describe('a client that is gone', () => {
  it('has its requests under way finished before a new client is greeted', async () => {
    const disk = new MemoryExport();
    const { opened, open } = gate();
    disk.hold = opened;
    const { address } = await serving([disk]);
    const killed = await Client.open(address);
    killed.send({ command: Command.write, data: Buffer.of(1) });
    await until('the write is under way', () => disk.underWay === 1);
    killed.socket.destroy();
    const next = Client.raw(address);
    await turns(100);
    expect(next.held).to.equal(0);
    open();
    disk.hold = null;
    await next.take(18);
    expect(disk.bytes[0]).to.equal(1);
    expect(disk.underWay).to.equal(0);
  });

  it('leaves nothing behind that is carried out after a new client was served', async () => {
    const disk = new MemoryExport({ later: 'always' });
    const { address } = await serving([disk], { limits: { requestsInFlight: 4 } });
    for (let round = 0; round < 20; round++) {
      const killed = await Client.open(address);
      // More than is taken at once: the rest waits here and in the kernel.
      killed.send(
        ...Array.from({ length: 3000 }, (_, cookie): RawRequest => ({
          command: Command.write,
          cookie,
          data: Buffer.of(1),
        })),
      );
      const writes = disk.calls.length;
      await until('some are under way', () => disk.calls.length > writes);
      killed.socket.destroy();
      const next = await Client.open(address);
      await next.ask({ command: Command.write, data: Buffer.of(2) });
      const after = disk.calls.length;
      await turns(20);
      expect(disk.calls.length).to.equal(after);
      expect(disk.bytes[0]).to.equal(2);
      next.socket.destroy();
    }
  });

  it('does not hold up a second connection of a client that lives and is busy', async () => {
    const disk = new MemoryExport({ later: 'always' });
    const { address } = await serving([disk], { limits: { requestsInFlight: 2 } });
    const busy = await Client.open(address);
    let isBusy = true;
    const pump = async (): Promise<void> => {
      while (isBusy) {
        busy.send(...Array<RawRequest>(20).fill({ command: Command.read, length: 512 }));
        for (let i = 0; i < 20; i++) await busy.reply();
      }
    };
    const pumping = pump();
    const second = await Client.open(address);
    expect((await second.ask({ command: Command.read, length: 512 })).error).to.equal(0);
    isBusy = false;
    await pumping;
  });
});

describe('closing the server', () => {
  it('waits for requests under way, answers them, and takes no more', async () => {
    const disk = new MemoryExport();
    const { opened, open } = gate();
    disk.hold = opened;
    const { address, server } = await serving([disk]);
    const client = await Client.open(address);
    const waiting = await Client.connect(address);
    client.send({ command: Command.write, cookie: 4, data: Buffer.of(1) });
    await until('the write is under way', () => disk.underWay === 1);
    let isClosed = false;
    const closed = server.close().then(() => (isClosed = true));
    await waiting.closed();
    client.send({ command: Command.write, cookie: 5, data: Buffer.of(2) });
    await turns(50);
    expect(isClosed).to.equal(false);
    open();
    expect((await client.reply()).cookie).to.equal(4);
    await client.closed();
    await closed;
    expect(disk.calls).to.have.lengthOf(1);
  });
});
