import { expect } from 'chai';
import { Errno } from '../../../src/nbd/errno.js';
import { MAX_REQUEST_BYTES } from '../../../src/nbd/limits.js';
import { ChunkType, Command, CommandFlag, Option, OptionReply } from '../../../src/nbd/wire.js';
import { FileError } from '../../../src/platform/files.js';
import { Client, contextData, infoData, type Reply } from './client.js';
import { MemoryExport } from './memory-export.js';
import { serving } from './serving.js';

const pattern = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (i * 7 + 1) % 251));

describe('the NBD server', () => {
  for (const later of ['never', 'always'] as const) {
    const when = later === 'never' ? 'at once' : 'later';

    it(`writes and reads back through a back end that answers ${when}, in both reply styles`, async () => {
      const disk = new MemoryExport({ later });
      const { address } = await serving([disk]);
      for (const structured of [false, true]) {
        const client = await Client.open(address, { structured });
        for (const length of [1, 4096, 65_536, 300_000]) {
          const data = pattern(length);
          const written = await client.ask({ command: Command.write, offset: 77, cookie: 5, data });
          expect([written.cookie, written.error]).to.deep.equal([5, 0]);
          const read = await client.ask({ command: Command.read, offset: 77, length, cookie: 6 });
          expect(read.cookie).to.equal(6);
          expect(read.data.subarray(structured ? 8 : 0).equals(data)).to.equal(true);
          if (structured) expect(Number(read.data.readBigUInt64BE(0))).to.equal(77);
        }
        client.socket.destroy();
      }
    });

    it(`hands flags on and answers what has no data, ${when}`, async () => {
      const disk = new MemoryExport({ later });
      const { address } = await serving([disk]);
      const client = await Client.open(address);
      const asked = [
        { command: Command.write, flags: CommandFlag.fua, offset: 0, data: Buffer.of(1) },
        { command: Command.writeZeroes, flags: CommandFlag.noHole, offset: 4096, length: 4096 },
        { command: Command.trim, flags: CommandFlag.fua, offset: 8192, length: 4096 },
        { command: Command.cache, offset: 0, length: 100 },
        { command: Command.flush },
      ];
      for (const request of asked) expect((await client.ask(request)).error).to.equal(0);
      expect(disk.calls).to.deep.equal([
        { what: 'write', offset: 0, length: 1, fua: true, noHole: false },
        { what: 'writeZeroes', offset: 4096, length: 4096, fua: false, noHole: true },
        { what: 'trim', offset: 8192, length: 4096, fua: true, noHole: false },
        { what: 'cache', offset: 0, length: 100, fua: false, noHole: false },
        { what: 'flush', offset: 0, length: 0, fua: false, noHole: false },
      ]);
    });

    it(`tells a failed request its errno, ${when}, and lives on`, async () => {
      const disk = new MemoryExport({ later });
      const { address } = await serving([disk]);
      for (const structured of [false, true]) {
        const client = await Client.open(address, { structured });
        for (const command of [Command.read, Command.write, Command.flush, Command.trim, Command.cache]) {
          disk.failures.push(new FileError('no-space', '/x', 'x: no space left'));
          const sized = command === Command.flush ? {} : { length: 512 };
          const request = command === Command.write ? { data: Buffer.alloc(512) } : sized;
          const reply = await client.ask({ command, ...request });
          expect(reply.error).to.equal(Errno.ENOSPC);
          if (structured) expect(reply.data.toString('utf8', 6)).to.equal('x: no space left');
        }
        expect((await client.ask({ command: Command.read, length: 1 })).error).to.equal(0);
        client.socket.destroy();
      }
    });
  }

  it('refuses bad requests one by one without asking the back end', async () => {
    const disk = new MemoryExport({ sizeBytes: 65_536 });
    const { address } = await serving([disk]);
    const client = await Client.open(address);
    const errnos = [];
    for (const request of [
      { command: 77, length: 1 },
      { command: Command.read, length: 65_537 },
      { command: Command.write, offset: 65_536, data: Buffer.alloc(100) },
      { command: Command.read, offset: 2 ** 63, length: 1 },
      { command: Command.write, data: Buffer.alloc(MAX_REQUEST_BYTES + 1) },
      { command: Command.read, length: 0 },
    ]) {
      errnos.push((await client.ask(request)).error);
    }
    const { EINVAL, ENOSPC } = Errno;
    expect(errnos).to.deep.equal([EINVAL, EINVAL, ENOSPC, EINVAL, EINVAL, EINVAL]);
    expect(disk.calls).to.deep.equal([]);
    expect((await client.ask({ command: Command.read, length: 1 })).error).to.equal(0);
  });

  it('sends the zeros of a large read as holes, except when asked not to fragment', async () => {
    const disk = new MemoryExport({ sizeBytes: 1 << 20 });
    pattern(40_000).copy(disk.bytes, 100_000);
    const { address } = await serving([disk]);
    const client = await Client.open(address);
    client.send({ command: Command.read, offset: 1000, length: 500_000 });
    const content = Buffer.alloc(500_000, 0xee);
    let holes = 0;
    for (let reply: Reply | null = null; reply?.done !== true;) {
      reply = await client.reply();
      const at = Number(reply.data.readBigUInt64BE(0)) - 1000;
      if (reply.type === ChunkType.offsetHole) {
        const length = reply.data.readUInt32BE(8);
        holes += length;
        content.fill(0, at, at + length);
      } else {
        reply.data.copy(content, at, 8);
      }
    }
    expect(content.equals(disk.bytes.subarray(1000, 501_000))).to.equal(true);
    expect(holes).to.be.greaterThan(400_000);

    const whole = await client.ask({
      command: Command.read,
      flags: CommandFlag.df,
      offset: 1000,
      length: 500_000,
    });
    expect([whole.type, whole.done]).to.deep.equal([ChunkType.offsetData, true]);
    expect(whole.data.subarray(8).equals(disk.bytes.subarray(1000, 501_000))).to.equal(true);
  });

  it('tells allocation in joined extents, and one only when asked for one', async () => {
    const disk = new MemoryExport({ sizeBytes: 1 << 20 });
    disk.bytes.fill(1, 8192, 20_480);
    const { address } = await serving([disk]);
    const client = await Client.open(address);
    const extents = ({ data }: Reply): number[][] =>
      Array.from({ length: (data.byteLength - 4) / 8 }, (_, i) => [
        data.readUInt32BE(4 + 8 * i),
        data.readUInt32BE(8 + 8 * i),
      ]);
    const all = await client.ask({ command: Command.blockStatus, offset: 4096, length: 32_768 });
    expect(extents(all)).to.deep.equal([
      [4096, 3],
      [12_288, 0],
      [16_384, 3],
    ]);
    const one = await client.ask({
      command: Command.blockStatus,
      flags: CommandFlag.reqOne,
      offset: 8192,
      length: 100_000,
    });
    expect(extents(one)).to.have.lengthOf(1);
  });

  it('tells changed bytes, and those as changed of which it hears nothing', async () => {
    const told = [
      { length: 4096, changed: false },
      { length: 1 << 19, changed: true },
    ];
    const { address } = await serving([new MemoryExport({ changed: () => told.splice(0) })]);
    const client = await Client.open(address, { contexts: ['qemu:dirty-bitmap:farcopy'] });
    for (const wanted of [
      '00000000' + '00001000' + '00000000' + '0000f000' + '00000001',
      '0000000000010000' + '00000001',
    ]) {
      const reply = await client.ask({ command: Command.blockStatus, length: 65_536 });
      expect(reply.data.toString('hex')).to.equal(wanted);
    }
  });

  it('tells an export when a client has begun to use it, and once when all of it is over', async () => {
    const heard: string[] = [];
    const disk = Object.assign(new MemoryExport({ later: 'always' }), {
      attach: () => {
        heard.push('began');
        return () => heard.push(`ended, ${disk.underWay} under way`);
      },
    });
    const { address, server } = await serving([disk]);
    await (await Client.connect(address)).option(Option.info, infoData(''));
    expect(heard).to.deep.equal([]);
    const client = await Client.open(address);
    expect(heard).to.deep.equal(['began']);
    client.send({ command: Command.write, data: Buffer.alloc(1 << 20) });
    client.socket.end();
    await client.closed();
    await server.close();
    expect(heard).to.deep.equal(['began', 'ended, 0 under way']);
  });

  it('refuses BLOCK_STATUS of an export whose contexts were not chosen', async () => {
    const { address } = await serving([new MemoryExport({ name: 'a' }), new MemoryExport({ name: 'b' })]);
    const client = await Client.connect(address);
    await client.option(Option.structuredReply);
    await client.option(Option.setMetaContext, contextData('a', 'base:allocation'));
    expect((await client.option(Option.go, infoData('b'))).at(-1)?.type).to.equal(OptionReply.ack);
    expect((await client.ask({ command: Command.blockStatus, length: 512 })).error).to.equal(Errno.EINVAL);
  });

  it('keeps several exports on one socket apart', async () => {
    const disks = [new MemoryExport({ name: 'a' }), new MemoryExport({ name: 'b' })];
    const { address, server } = await serving(disks);
    for (const [index, name] of ['a', 'b'].entries()) {
      const client = await Client.open(address, { name });
      await client.ask({ command: Command.write, data: Buffer.of(index + 1) });
    }
    expect(disks.map(({ bytes }) => bytes[0])).to.deep.equal([1, 2]);
    expect([server.clientsOf('a'), server.clientsOf('b'), server.clientsOf('c')]).to.deep.equal([1, 1, 0]);
  });

  it('answers several requests of one chunk in one go, those that wait after those that do not', async () => {
    const disk = new MemoryExport({ later: 8192 });
    const { address } = await serving([disk]);
    const client = await Client.open(address);
    client.send(
      { command: Command.write, cookie: 1, data: Buffer.alloc(8192, 1) },
      { command: Command.read, cookie: 2, length: 512 },
      { command: Command.flush, cookie: 3 },
    );
    const cookies = [];
    for (let i = 0; i < 3; i++) cookies.push((await client.reply()).cookie);
    expect(cookies).to.deep.equal([2, 3, 1]);
  });

  it('announces the small writes that came together, each once, and no bad or large one', async () => {
    const disk = new MemoryExport();
    const { address } = await serving([disk]);
    const client = await Client.open(address);
    const write = (offset: number, length = 8): { command: number; offset: number; data: Buffer } => ({
      command: Command.write,
      offset,
      data: Buffer.alloc(length, 5),
    });
    const requests = [
      ...[0, 100, 200].map((offset) => write(offset)),
      { command: Command.read, offset: 0, length: 8 },
      ...[300, 400].map((offset) => write(offset)),
      write(1 << 20),
      ...[500, 600].map((offset) => write(offset)),
      write(4096, 80 << 10),
      write(700),
    ];
    client.send(...requests.map((request, cookie) => ({ ...request, cookie })));
    for (let i = 0; i < requests.length; i++) await client.reply();
    const writes = disk.calls.filter(({ what }) => what === 'write').map(({ offset }) => offset);
    expect(writes).to.deep.equal([0, 100, 200, 300, 400, 500, 600, 4096, 700]);
    // How the stream is cut into chunks is not ours: what is announced is what follows, in one piece.
    const told = disk.announced.flatMap(({ offsets }) => offsets);
    expect(told).to.deep.equal(writes.filter((offset) => told.includes(offset)));
    expect(told).not.to.include(4096);
    for (const { offsets, after } of disk.announced) {
      expect(disk.calls.slice(after, after + offsets.length).map(({ offset }) => offset)).to.deep.equal(
        offsets,
      );
    }
    expect(disk.announced[0]).to.deep.equal({ offsets: [0, 100, 200], after: 0 });
  });

  for (const [uses, least, most] of [
    [true, 10, 300],
    [false, 1, 3],
  ] as const) {
    it(`announces ${uses ? 'all' : 'few'} writes where that is of ${uses ? '' : 'no '}use`, async () => {
      const disk = new MemoryExport();
      disk.usesAnnouncements = uses;
      const { address } = await serving([disk]);
      const client = await Client.open(address);
      const writes = Array.from({ length: 300 }, (_, i) => ({
        command: Command.write,
        cookie: i,
        offset: 8 * i,
        data: Buffer.alloc(8, i),
      }));
      client.send(...writes);
      for (let i = 0; i < writes.length; i++) expect((await client.reply()).error).to.equal(0);
      expect(disk.announced.length).to.be.within(least, most);
    });
  }

  it('finishes and answers what is under way after DISC and after the end of the stream', async () => {
    for (const end of ['DISC', 'end of stream'] as const) {
      const disk = new MemoryExport({ later: 'always' });
      const { address } = await serving([disk]);
      const client = await Client.open(address);
      const write = { command: Command.write, cookie: 9, data: Buffer.of(42) };
      if (end === 'DISC') {
        // What follows DISC is not carried out.
        client.send(write, { command: Command.disconnect }, { ...write, data: Buffer.of(43) });
      } else {
        client.send(write);
        client.socket.end();
      }
      expect((await client.reply()).cookie).to.equal(9);
      await client.closed();
      expect(disk.bytes[0]).to.equal(42);
    }
  });

  it('ends a connection that has lost step', async () => {
    const { address } = await serving([new MemoryExport()]);
    const client = await Client.open(address);
    client.send({ command: Command.read, length: 1, magic: 7 });
    await client.closed();
    expect((await (await Client.open(address)).ask({ command: Command.flush })).error).to.equal(0);
  });
});
