import { MessageChannel } from 'node:worker_threads';
import { expect } from 'chai';
import { stateId, blockIndex } from '../../../protocol/units.js';
import { VolumeError } from '../../../src/engine/errors.js';
import type { Collected, VolumeService } from '../../../src/engine/volume-service.js';
import { packError, unpackError } from '../../../src/host/carried-error.js';
import { Caller } from '../../../src/host/channel.js';
import { RemoteVolume, serveVolumes } from '../../../src/host/remote-volume.js';
import { NbdError } from '../../../src/nbd/errors.js';
import { FileError } from '../../../src/platform/files.js';

const STATE = stateId('ab'.repeat(16));

/** A volume that only knows what the test gives it. */
function fakeVolume(methods: Partial<VolumeService>): VolumeService {
  const absent = (): Promise<never> => Promise.reject(new Error('not in this test'));
  return {
    describe: absent,
    seal: absent,
    sealIf: absent,
    groupStep: absent,
    pin: absent,
    unpin: absent,
    countChanges: absent,
    collect: absent,
    readBase: absent,
    digests: absent,
    compared: absent,
    ...methods,
  };
}

describe('a volume called over a message port', () => {
  let caller: Caller<VolumeService> | null = null;

  function connect(volumes: Readonly<Record<string, VolumeService>>): Caller<VolumeService> {
    const { port1, port2 } = new MessageChannel();
    serveVolumes(port2, (name) => volumes[name]);
    caller = new Caller<VolumeService>(port1);
    return caller;
  }

  const failureOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => expect.fail('it did not fail'),
      (error: unknown) => error,
    );

  afterEach(() => {
    caller?.end(new Error('test over'));
    caller = null;
  });

  it('is given its arguments and answers each call, in whatever order it is ready', async () => {
    const seen: unknown[] = [];
    let release: () => void = () => undefined;
    const volume = new RemoteVolume(
      connect({
        ledger: fakeVolume({
          pin: (owner, state) => {
            seen.push([owner, state]);
            return new Promise<void>((resolve) => (release = resolve));
          },
          countChanges: ({ from, to }) => {
            seen.push([from, to]);
            return Promise.resolve(42);
          },
        }),
      }),
      'ledger',
    );
    const pinned = volume.pin('vault', STATE);
    expect(await volume.countChanges({ from: null, to: STATE })).to.equal(42);
    release();
    await pinned;
    expect(seen).to.deep.equal([
      ['vault', STATE],
      [null, STATE],
    ]);
  });

  it('is found by its name among several; a name nobody has is an error', async () => {
    const calls = connect({
      a: fakeVolume({ countChanges: () => Promise.resolve(1) }),
      b: fakeVolume({ countChanges: () => Promise.resolve(2) }),
    });
    const set = { from: null, to: STATE };
    expect(await new RemoteVolume(calls, 'b').countChanges(set)).to.equal(2);
    expect(await new RemoteVolume(calls, 'a').countChanges(set)).to.equal(1);
    expect(await failureOf(new RemoteVolume(calls, 'c').countChanges(set))).to.be.instanceOf(Error);
  });

  it('hands collected content over, and only its own bytes of a shared buffer', async () => {
    const large = new Uint8Array(1 << 20).fill(7);
    const whole = new Uint8Array(4096).fill(5);
    const contents = [whole, large.subarray(100, 612), new Uint8Array(0)];
    const old = new Uint8Array(4096).fill(4);
    const volume = new RemoteVolume(
      connect({
        v: fakeVolume({
          collect: () =>
            Promise.resolve<Collected>({
              runs: [{ start: blockIndex(3), count: 1, zero: false }],
              content: contents.shift() ?? whole,
              before: contents.length < 2 ? null : { content: old, known: Uint8Array.of(1) },
              next: null,
              unavailable: [],
            }),
        }),
      }),
      'v',
    );
    const request = { from: null, to: STATE, cursor: blockIndex(0), maxContentBytes: 1 };
    const first = await volume.collect(request);
    expect(first.runs).to.deep.equal([{ start: 3, count: 1, zero: false }]);
    expect([...first.content].every((byte) => byte === 5) && first.content.byteLength === 4096).to.equal(
      true,
    );
    expect([...(first.before?.content ?? [])].every((byte) => byte === 4)).to.equal(true);
    expect([...(first.before?.known ?? [])]).to.deep.equal([1]);
    expect([whole.byteLength, old.byteLength]).to.deep.equal([0, 0]);
    const second = await volume.collect(request);
    expect(second.content.buffer.byteLength).to.equal(512);
    expect(large.byteLength).to.equal(1 << 20);
    expect((await volume.collect(request)).content.byteLength).to.equal(0);
  });

  it('fails with the error it failed with: class, code, hint and cause', async () => {
    const thrown = new VolumeError('unknown-state', 'state is gone', 'take a newer one', {
      cause: new FileError('io', '/x', 'x: broken'),
    });
    const volume = new RemoteVolume(connect({ v: fakeVolume({ pin: () => Promise.reject(thrown) }) }), 'v');
    const error = await failureOf(volume.pin('vault', STATE));
    if (!(error instanceof VolumeError)) throw new Error('not a VolumeError');
    expect([error.code, error.message, error.hint]).to.deep.equal([
      'unknown-state',
      'state is gone',
      'take a newer one',
    ]);
    expect(error.cause).to.be.instanceOf(FileError);
    expect(error.cause).to.include({ code: 'io', path: '/x' });
  });

  it('fails every call, under way or later, when the channel has ended', async () => {
    const calls = connect({ v: fakeVolume({ unpin: () => new Promise(() => undefined) }) });
    const volume = new RemoteVolume(calls, 'v');
    const underWay = failureOf(volume.unpin('vault'));
    calls.end(new VolumeError('closed', 'over'));
    expect(await underWay).to.include({ code: 'closed' });
    expect(await failureOf(volume.describe())).to.include({ code: 'closed' });
  });
});

describe('an error carried between threads', () => {
  it('keeps what callers branch on, whatever its class, through a clone', () => {
    const carry = (error: unknown): Error => unpackError(structuredClone(packError(error)));
    expect(carry(new NbdError('in-use', 'taken', 'stop it'))).to.be.instanceOf(NbdError);
    expect(carry(new TypeError('wrong'))).to.include({ name: 'TypeError', message: 'wrong' });
    expect(carry(Object.assign(new Error('no'), { code: 'ENOENT' }))).to.include({ code: 'ENOENT' });
    expect(carry('just text').message).to.equal('just text');
  });

  it('survives an error that is its own cause', () => {
    const error = new Error('round');
    error.cause = error;
    expect(unpackError(packError(error)).message).to.equal('round');
  });
});
