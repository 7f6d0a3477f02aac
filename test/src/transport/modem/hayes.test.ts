import { expect } from 'chai';
import fc from 'fast-check';
import { dialCommand, initCommands, parseResult } from '../../../../src/transport/modem/hayes.js';
import { ResultReader } from '../../../../src/transport/modem/result-reader.js';
import { seedOfThisRun } from '../../../support/seeded.js';

describe('the Hayes commands', () => {
  const meanings: readonly (readonly [string, string | undefined, number?])[] = [
    ['OK', 'ok'],
    ['0', 'ok'],
    ['ok ', 'ok'],
    ['CONNECT', 'connect'],
    ['CONNECT 9600', 'connect', 9600],
    ['CONNECT 33600/ARQ/V34/LAPM', 'connect', 33_600],
    ['CONNECT 115200 V42bis', 'connect', 115_200],
    ['RING', 'ring'],
    ['+CRING: VOICE', 'ring'],
    ['BUSY', 'busy'],
    ['NO CARRIER', 'no-carrier'],
    ['NO DIALTONE', 'no-dialtone'],
    ['NO DIAL TONE', 'no-dialtone'],
    ['NO ANSWER', 'no-answer'],
    ['ERROR', 'error'],
    ['+CME ERROR: 30', 'error'],
    ['4', 'error'],
    ['DELAYED 00:02', 'delayed'],
    ['BLACKLISTED', 'blacklisted'],
    ['RINGING', undefined],
    ['ATDT5551234', undefined],
    ['CARRIER 33600', undefined],
    ['PROTOCOL: LAPM', undefined],
    ['CONNECTED', undefined],
    ['40', undefined],
    ['NMBR = 5551234', undefined],
    ['', undefined],
  ];
  for (const [line, kind, speed] of meanings) {
    it(`understands ${JSON.stringify(line)} as ${kind ?? 'nothing'}`, () => {
      const result = parseResult(line);
      expect(result?.kind).to.equal(kind);
      if (result?.kind === 'connect') expect(result.bitsPerSecond).to.equal(speed ?? null);
    });
  }

  it('dials by tone unless the number says how', () => {
    expect(dialCommand('0,555-1234')).to.equal('ATDT0,555-1234');
    expect(dialCommand('P5551234')).to.equal('ATDP5551234');
    expect(dialCommand('t 555')).to.equal('ATDt 555');
  });

  it('makes the modem readable whatever the operator sets', () => {
    expect(initCommands(null)).to.deep.equal(['AT&F', 'ATE0V1&C1&D2S0=0']);
    expect(initCommands(['ATZ2'])).to.deep.equal(['ATZ2', 'ATE0V1']);
  });
});

describe('the lines of a modem', () => {
  const read = (chunks: readonly Uint8Array[], stopAt?: string) => {
    const reader = new ResultReader();
    const lines: string[] = [];
    let rest: Uint8Array[] | null = null;
    for (const chunk of chunks) {
      if (rest !== null) {
        rest.push(chunk);
        continue;
      }
      for (let at = 0; at < chunk.length;) {
        const found = reader.next(chunk, at);
        if (found === undefined) break;
        lines.push(found.line);
        at = found.end;
        if (found.line !== stopAt) continue;
        rest = [chunk.subarray(at)];
        break;
      }
    }
    const bytes = Buffer.concat(rest ?? []);
    return { lines, rest: reader.lineFeedDue && bytes[0] === 0x0a ? bytes.subarray(1) : bytes };
  };

  it('end with CR, with LF, or with both, and empty ones do not count', () => {
    const text = Buffer.from('\r\nOK\r\n\r\nRING\r\n0\rRING\n\n');
    expect(read([text]).lines).to.deep.equal(['OK', 'RING', '0', 'RING']);
  });

  it('lose what no text has, and what is too long', () => {
    const noise = Buffer.from([0xff, 0x80, 0x00, 0x4f, 0x4b, 0xfe, 0x0d]);
    expect(read([noise]).lines).to.deep.equal(['OK']);
    const [line = ''] = read([Buffer.from(`${'x'.repeat(1 << 20)}\r`)]).lines;
    expect(line.length).to.be.lessThan(200);
  });

  it('are the same however the bytes are cut, and every byte after CONNECT is kept', () => {
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const frame = fc.uint8Array({ minLength: 1, maxLength: 40 }).filter((bytes) => bytes[0] !== 0x0a);
    fc.assert(
      fc.property(frame, fc.array(fc.nat(70), { maxLength: 20 }), (data, cuts) => {
        const text = Buffer.from('ATDT5\r\r\nCARRIER 9600\r\n\r\nCONNECT 9600\r\n', 'latin1');
        const all = Buffer.concat([text, data]);
        const at = [0, ...cuts.map((cut) => Math.min(cut, all.length)), all.length].sort((a, b) => a - b);
        const chunks = at.slice(1).map((end, index) => all.subarray(at[index], end));
        const { lines, rest } = read(chunks, 'CONNECT 9600');
        expect(lines).to.deep.equal(['ATDT5', 'CARRIER 9600', 'CONNECT 9600']);
        expect(rest.equals(Buffer.from(data))).to.equal(true);
      }),
      { seed, numRuns: 500 },
    );
  });
});
