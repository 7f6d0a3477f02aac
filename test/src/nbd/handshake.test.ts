import { expect } from 'chai';
import { ByteQueue } from '../../../src/nbd/byte-queue.js';
import { Handshake, type HandshakeStep, type Session } from '../../../src/nbd/handshake.js';
import { MAX_OPTION_BYTES, MAX_OPTIONS, MAX_SKIPPED_OPTION_BYTES } from '../../../src/nbd/limits.js';
import { Info, Option, OptionReply, TransmissionFlag } from '../../../src/nbd/wire.js';
import { contextData, infoData, optionRequest, uint32, type OptionAnswer } from './client.js';
import { MemoryExport } from './memory-export.js';

/** Feeds bytes to a handshake and takes its answers apart. */
class Haggler {
  readonly input = new ByteQueue();
  readonly handshake: Handshake;
  readonly exports: MemoryExport[];

  constructor(exports: MemoryExport[] = [new MemoryExport()], flags = 3) {
    this.exports = exports;
    this.handshake = new Handshake(() => this.exports);
    this.input.push(uint32(flags));
  }

  step(bytes: Buffer = Buffer.alloc(0)): HandshakeStep {
    this.input.push(bytes);
    return this.handshake.next(this.input);
  }

  option(option: number, data?: Uint8Array): OptionAnswer[] {
    const step = this.step(optionRequest(option, data));
    return step.kind === 'more' ? [] : answersIn(step.bytes);
  }

  last(option: number, data?: Uint8Array): number | undefined {
    return this.option(option, data).at(-1)?.type;
  }

  go(name = ''): Session {
    const step = this.step(optionRequest(Option.go, infoData(name)));
    if (step.kind !== 'serve') throw new Error(`GO gave ${step.kind}`);
    return step.session;
  }
}

function answersIn(bytes: Buffer): OptionAnswer[] {
  const answers: OptionAnswer[] = [];
  for (let at = 0; at < bytes.byteLength;) {
    const length = bytes.readUInt32BE(at + 16);
    answers.push({
      option: bytes.readUInt32BE(at + 8),
      type: bytes.readUInt32BE(at + 12),
      data: bytes.subarray(at + 20, at + 20 + length),
    });
    at += 20 + length;
  }
  return answers;
}

describe('the handshake', () => {
  it('greets as a fixed newstyle server that can leave out the zeroes', () => {
    expect(new Handshake(() => []).greeting().toString('hex')).to.equal(
      '4e42444d41474943' + '49484156454f5054' + '0003',
    );
  });

  it('ends when the client sets a flag it does not know', () => {
    expect(new Haggler([new MemoryExport()], 4).step().kind).to.equal('end');
    expect(new Haggler([new MemoryExport()], 0).step().kind).to.equal('more');
  });

  it('takes an option that comes byte by byte', () => {
    const haggler = new Haggler();
    const bytes = optionRequest(Option.go, infoData('disk'));
    for (const byte of bytes.subarray(0, -1)) expect(haggler.step(Buffer.of(byte)).kind).to.equal('more');
    expect(haggler.step(bytes.subarray(-1)).kind).to.equal('serve');
  });

  it('answers EXPORT_NAME with size and flags, and with 124 zeroes unless they were waived', () => {
    for (const [flags, bytes] of [
      [3, 10],
      [1, 134],
    ] as const) {
      const step = new Haggler([new MemoryExport({ sizeBytes: 123_456 })], flags).step(
        optionRequest(Option.exportName, Buffer.from('disk')),
      );
      if (step.kind !== 'serve') throw new Error(step.kind);
      expect(step.bytes.byteLength).to.equal(bytes);
      expect(step.bytes.readBigUInt64BE(0)).to.equal(123_456n);
      expect(step.bytes.readUInt16BE(8) & TransmissionFlag.hasFlags).to.equal(1);
    }
  });

  it('ends on an EXPORT_NAME that is not served, which has no error reply', () => {
    expect(new Haggler().step(optionRequest(Option.exportName, Buffer.from('other'))).kind).to.equal('end');
    expect(new Haggler().step(optionRequest(Option.exportName, Buffer.of(0xff))).kind).to.equal('end');
  });

  it('keeps step over an unknown option with data', () => {
    const haggler = new Haggler();
    expect(haggler.last(77, Buffer.alloc(5000))).to.equal(OptionReply.unsupported);
    expect(haggler.last(5)).to.equal(OptionReply.unsupported);
    expect(haggler.go().backend).to.equal(haggler.exports[0]);
  });

  it('refuses over-long option data and keeps step; far longer data ends the connection', () => {
    const haggler = new Haggler();
    const step = haggler.step(optionRequest(Option.info, Buffer.alloc(MAX_OPTION_BYTES + 1)));
    expect(step.kind === 'reply' && answersIn(step.bytes)[0]?.type).to.equal(OptionReply.tooBig);
    expect(haggler.go().backend).to.equal(haggler.exports[0]);

    const header = optionRequest(Option.info);
    header.writeUInt32BE(MAX_SKIPPED_OPTION_BYTES + 1, 12);
    expect(new Haggler().step(header).kind).to.equal('end');
  });

  it('ends after too many options', () => {
    const haggler = new Haggler();
    for (let i = 0; i < MAX_OPTIONS; i++) expect(haggler.last(77)).to.equal(OptionReply.unsupported);
    expect(haggler.step(optionRequest(77)).kind).to.equal('end');
  });

  it('ends when an option does not start with its magic number', () => {
    expect(new Haggler().step(Buffer.alloc(16)).kind).to.equal('end');
  });

  it('acknowledges ABORT, with or without data, and ends', () => {
    const step = new Haggler().step(optionRequest(Option.abort, Buffer.from('x')));
    expect(step.kind).to.equal('end');
    expect(step.kind === 'end' && answersIn(step.bytes)[0]?.type).to.equal(OptionReply.ack);
  });

  it('lists each export with its name and description', () => {
    const haggler = new Haggler([new MemoryExport({ name: 'a' }), new MemoryExport({ name: 'bücher' })]);
    const answers = haggler.option(Option.list);
    expect(answers.map(({ type }) => type)).to.deep.equal([
      OptionReply.server,
      OptionReply.server,
      OptionReply.ack,
    ]);
    const [, second] = answers;
    expect(second?.data.readUInt32BE(0)).to.equal(7);
    expect(second?.data.toString('utf8', 4)).to.equal('bücherin memory');
    expect(haggler.last(Option.list, Buffer.from('x'))).to.equal(OptionReply.invalid);
  });

  it('gives the empty name to an export that is alone, and to none of several', () => {
    const haggler = new Haggler([new MemoryExport({ name: 'a' }), new MemoryExport({ name: 'b' })]);
    expect(haggler.last(Option.go, infoData(''))).to.equal(OptionReply.unknownExport);
    expect(haggler.last(Option.go, infoData('c'))).to.equal(OptionReply.unknownExport);
    expect(haggler.go('b').backend).to.equal(haggler.exports[1]);
    expect(new Haggler().go('').backend.geometry.name).to.equal('disk');
  });

  it('lists snapshots too, which answer to their names and never to the empty one', () => {
    const [disk, old] = [new MemoryExport(), new MemoryExport({ name: 'disk@1', readOnly: true })];
    const handshake = new Handshake(
      () => [disk],
      () => [old],
    );
    const input = new ByteQueue();
    input.push(Buffer.concat([uint32(3), optionRequest(Option.list)]));
    const step = handshake.next(input);
    expect(step.kind === 'reply' && answersIn(step.bytes)).to.have.lengthOf(3);
    for (const [name, found] of [
      ['', disk],
      ['disk', disk],
      ['disk@1', old],
    ] as const) {
      const another = new Handshake(
        () => [disk],
        () => [old],
      );
      input.push(Buffer.concat([uint32(3), optionRequest(Option.go, infoData(name))]));
      const served = another.next(input);
      expect(served.kind === 'serve' && served.session.backend).to.equal(found);
    }
  });

  it('sees exports that came after the connection', () => {
    const haggler = new Haggler([]);
    expect(haggler.last(Option.info, infoData('late'))).to.equal(OptionReply.unknownExport);
    haggler.exports.push(new MemoryExport({ name: 'late' }));
    expect(haggler.go('late').backend.geometry.name).to.equal('late');
  });

  it('answers INFO with what was asked for and known, once each', () => {
    const haggler = new Haggler([new MemoryExport({ blockSize: 8192 })]);
    const answers = haggler.option(
      Option.info,
      infoData('disk', Info.blockSize, 999, Info.name, Info.description, Info.name),
    );
    const kinds = answers.map(({ type, data }) => (type === OptionReply.info ? data.readUInt16BE(0) : type));
    expect(kinds).to.deep.equal([Info.export, Info.blockSize, Info.name, Info.description, OptionReply.ack]);
    const sizes = answers[1]?.data;
    expect([2, 6, 10].map((at) => sizes?.readUInt32BE(at))).to.deep.equal([1, 8192, 32 << 20]);
    expect(answers[2]?.data.toString('utf8', 2)).to.equal('disk');
  });

  it('calls malformed data invalid and goes on', () => {
    const haggler = new Haggler();
    const cases = [
      Buffer.alloc(0),
      Buffer.alloc(5),
      uint32(100, 0),
      Buffer.concat([infoData('disk', 1), Buffer.of(0)]),
      infoData('disk', 1).subarray(0, -1),
      Buffer.concat([uint32(1), Buffer.of(0xff, 0, 0)]),
      infoData('a\0b'),
      infoData('x'.repeat(4097)),
    ];
    for (const data of cases) expect(haggler.last(Option.info, data)).to.equal(OptionReply.invalid);
    haggler.option(Option.structuredReply);
    for (const data of [uint32(4), contextData('disk', 'base:').subarray(0, -1), uint32(0, 0xffffffff)]) {
      expect(haggler.last(Option.listMetaContext, data)).to.equal(OptionReply.invalid);
    }
    expect(haggler.go().backend).to.equal(haggler.exports[0]);
  });

  it('tells DF only to clients with structured replies, and write commands only of writable exports', () => {
    const flagsOf = (haggler: Haggler): number =>
      haggler.option(Option.info, infoData(''))[0]?.data.readUInt16BE(10) ?? 0;
    const haggler = new Haggler();
    const all = TransmissionFlag.canMultiConn | TransmissionFlag.sendFua | TransmissionFlag.sendFlush;
    expect(flagsOf(haggler) & all).to.equal(all);
    expect(flagsOf(haggler) & TransmissionFlag.sendDf).to.equal(0);
    expect(flagsOf(haggler) & TransmissionFlag.sendTrim).to.not.equal(0);
    expect(haggler.last(Option.structuredReply, Buffer.of(1))).to.equal(OptionReply.invalid);
    haggler.option(Option.structuredReply);
    expect(flagsOf(haggler) & TransmissionFlag.sendDf).to.not.equal(0);
    const readOnly = flagsOf(new Haggler([new MemoryExport({ readOnly: true })]));
    expect(readOnly & (TransmissionFlag.sendTrim | TransmissionFlag.sendWriteZeroes)).to.equal(0);
    expect(readOnly & TransmissionFlag.readOnly).to.not.equal(0);
  });
});

describe('meta contexts in the handshake', () => {
  const names = (answers: OptionAnswer[]): string[] =>
    answers
      .filter(({ type }) => type === OptionReply.metaContext)
      .map(({ data }) => data.toString('utf8', 4));

  it('need structured replies first', () => {
    const haggler = new Haggler();
    expect(haggler.last(Option.setMetaContext, contextData('', 'base:allocation'))).to.equal(
      OptionReply.invalid,
    );
  });

  it('are listed all, by name and by namespace; another namespace is ignored', () => {
    const haggler = new Haggler();
    haggler.option(Option.structuredReply);
    const list = (...queries: string[]): string[] =>
      names(haggler.option(Option.listMetaContext, contextData('', ...queries)));
    expect(list()).to.deep.equal(['base:allocation']);
    expect(list('base:')).to.deep.equal(['base:allocation']);
    expect(list('x-other:', 'base:allocation')).to.deep.equal(['base:allocation']);
    expect(list('x-other:thing')).to.deep.equal([]);
  });

  it('offer the dirty bitmap of an export that can tell, as qemu names it', () => {
    const bitmap = 'qemu:dirty-bitmap:farcopy';
    const list = (disk: MemoryExport, query: string): string[] => {
      const haggler = new Haggler([disk]);
      haggler.option(Option.structuredReply);
      return names(haggler.option(Option.listMetaContext, contextData('', query)));
    };
    const disk = new MemoryExport({ changed: () => [] });
    expect(list(disk, 'qemu:')).to.deep.equal([bitmap]);
    expect(list(disk, 'qemu:dirty-bitmap:')).to.deep.equal([bitmap]);
    expect(list(disk, bitmap)).to.deep.equal([bitmap]);
    expect(list(disk, 'qemu:dirty-bitmap:other')).to.deep.equal([]);
    expect(list(new MemoryExport(), 'qemu:')).to.deep.equal([]);
  });

  it('are selected by full name only, and a later SET replaces the choice also when it fails', () => {
    const haggler = new Haggler();
    haggler.option(Option.structuredReply);
    const set = (name: string, ...queries: string[]): string[] =>
      names(haggler.option(Option.setMetaContext, contextData(name, ...queries)));
    expect(set('', 'base:')).to.deep.equal([]);
    expect(set('')).to.deep.equal([]);
    expect(set('', 'base:allocation')).to.deep.equal(['base:allocation']);
    expect(set('nowhere', 'base:allocation')).to.deep.equal([]);
    expect(haggler.go().contexts).to.deep.equal([]);
  });

  it('count only for the export they were chosen for', () => {
    const two = (): Haggler => {
      const haggler = new Haggler([new MemoryExport({ name: 'a' }), new MemoryExport({ name: 'b' })]);
      haggler.option(Option.structuredReply);
      haggler.option(Option.setMetaContext, contextData('a', 'base:allocation'));
      return haggler;
    };
    expect(
      two()
        .go('a')
        .contexts.map(({ name }) => name),
    ).to.deep.equal(['base:allocation']);
    expect(two().go('b').contexts).to.deep.equal([]);
  });
});
