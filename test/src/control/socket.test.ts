import { expect } from 'chai';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { spawnSync } from 'node:child_process';
import { ApplianceError } from '../../../src/appliance/errors.js';
import type { ApplianceStatus } from '../../../src/appliance/status.js';
import type {
  ApplianceControl,
  ExportedState,
  OperationOptions,
  Progress,
  SyncResult,
} from '../../../src/control/appliance-control.js';
import { ControlClient } from '../../../src/control/client.js';
import { MAX_REQUEST_BYTES, MAX_REQUESTS_UNDER_WAY } from '../../../src/control/messages.js';
import { ControlServer } from '../../../src/control/server.js';
import { silentLog } from '../../../src/platform/log.js';

const STATUS: ApplianceStatus = {
  schema: 1,
  role: 'primary',
  name: 'branch-12',
  links: [],
  volumes: [],
  events: [],
};

const RESULT: SyncResult = {
  state: '0'.repeat(32),
  grade: 'quiet',
  blocks: 5,
  bytesSent: 20_480,
  bytesReceived: 90,
  bytesRepeated: 0,
  seconds: 1.5,
};

const EXPORTED: ExportedState = {
  socket: '/run/old.sock',
  state: '1'.repeat(32),
  time: '2026-11-22T12:00:00.000Z',
  grade: 'quiet',
  sizeBytes: 1 << 20,
  writable: false,
};

/** An appliance whose every operation the test can watch and end. */
class ScriptedAppliance implements ApplianceControl {
  readonly requests: unknown[] = [];
  /** Signals of the syncs that were begun, in order. */
  readonly signals: AbortSignal[] = [];
  onSync: (options: OperationOptions) => Promise<SyncResult> = () => Promise.resolve(RESULT);

  status = (): Promise<ApplianceStatus> => Promise.resolve(STATUS);

  pause: ApplianceControl['pause'] = (request) => {
    this.requests.push(request);
    return Promise.resolve({ paused: ['ledger'] });
  };

  resume: ApplianceControl['resume'] = (request) => {
    this.requests.push(request);
    return Promise.resolve({ paused: [] });
  };

  hangUp: ApplianceControl['hangUp'] = (request) => {
    this.requests.push(request);
    return Promise.resolve();
  };

  sync: ApplianceControl['sync'] = (request, options) => {
    this.requests.push(request);
    this.signals.push(options.signal);
    return this.onSync(options);
  };

  compare: ApplianceControl['compare'] = (request) => {
    this.requests.push(request);
    return Promise.reject(new ApplianceError('unknown-volume', `no volume ${request.volume}`));
  };

  snapshot: ApplianceControl['snapshot'] = (request) => {
    this.requests.push(request);
    return Promise.reject(
      new ApplianceError('unknown-volume', `no volume ${request.volume}`, 'there is ledger'),
    );
  };

  points: ApplianceControl['points'] = (request) => {
    this.requests.push(request);
    return Promise.resolve([]);
  };

  restore: ApplianceControl['restore'] = (request) => {
    this.requests.push(request);
    return Promise.reject(new TypeError('a bug'));
  };

  /** Serves until it is told to stop. */
  export: ApplianceControl['export'] = async (request, { ready, signal }) => {
    this.requests.push(request);
    this.signals.push(signal);
    ready(EXPORTED);
    await abortOf(signal);
  };

  seedExport: ApplianceControl['seedExport'] = () => Promise.reject(new Error('not asked for here'));
  seedImport: ApplianceControl['seedImport'] = () => Promise.reject(new Error('not asked for here'));
  seedDrop: ApplianceControl['seedDrop'] = () => Promise.reject(new Error('not asked for here'));
  scrub: ApplianceControl['scrub'] = () => Promise.reject(new Error('not asked for here'));
  drill: ApplianceControl['drill'] = () => Promise.reject(new Error('not asked for here'));
  prune: ApplianceControl['prune'] = (request) => {
    this.requests.push(request);
    return Promise.reject(new ApplianceError('unknown-volume', `no volume ${request.volume}`));
  };
}

/** Resolves when the signal aborts, with its reason. */
const abortOf = async (signal: AbortSignal): Promise<unknown> => {
  if (!signal.aborted) await once(signal, 'abort');
  return signal.reason;
};

const untilAborted = async ({ signal }: OperationOptions): Promise<never> => {
  throw await abortOf(signal);
};

const quiet = (): OperationOptions => ({ signal: new AbortController().signal, progress: () => undefined });

describe('the control socket', () => {
  let folder: string;
  let path: string;
  let appliance: ScriptedAppliance;
  let server: ControlServer;
  const clients: { close(): void }[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'farcopy-control-'));
    path = join(folder, 'control.sock');
    appliance = new ScriptedAppliance();
    server = await ControlServer.listen(path, appliance, silentLog);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await server.close();
    await rm(folder, { recursive: true });
  });

  async function connected(): Promise<ControlClient> {
    const client = await ControlClient.connect(path);
    if (client === null) throw new Error('nobody serves the socket');
    clients.push(client);
    return client;
  }

  async function raw(): Promise<Socket> {
    const socket = connect(path);
    await once(socket, 'connect');
    clients.push({ close: () => void socket.destroy() });
    return socket;
  }

  const failure = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => new Error('it did not fail'),
      (error: unknown) => error,
    );

  it('is for its owner alone', async () => {
    expect((await stat(path)).mode & 0o777).to.equal(0o600);
  });

  it('answers with the status', async () => {
    expect(await (await connected()).status()).to.deep.equal(STATUS);
  });

  it('hands over a request as it was made, its progress, and its result', async () => {
    const client = await connected();
    const seen: Progress[] = [];
    const steps: Progress[] = [
      { phase: 'sending', done: 1, total: null, unit: 'blocks' },
      { phase: 'sending', done: 5, total: 5, unit: 'blocks' },
    ];
    appliance.onSync = ({ progress }) => {
      steps.forEach(progress);
      return Promise.resolve(RESULT);
    };
    const request = { volume: 'ledger', to: 'vault', timeoutMs: 5000 };
    const result = await client.sync(request, { ...quiet(), progress: (step) => seen.push(step) });
    expect(result).to.deep.equal(RESULT);
    expect(seen).to.deep.equal(steps);
    expect(appliance.requests).to.deep.equal([request]);
  });

  it('carries an error with its code and hint', async () => {
    const error = await failure((await connected()).snapshot({ volume: 'x' }));
    expect(error).to.be.instanceOf(ApplianceError);
    expect(error).to.include({ code: 'unknown-volume', message: 'no volume x', hint: 'there is ledger' });
  });

  it('makes a failure of the appliance itself one line for the operator', async () => {
    const request = { volume: 'a/b', to: '/x', force: false };
    expect(await failure((await connected()).restore(request, quiet()))).to.include({
      code: 'failed',
      message: 'a bug',
    });
  });

  it('refuses a path that is relative to nobody knows what', async () => {
    const request = { volume: 'a/b', to: './x', force: false };
    expect(await failure((await connected()).restore(request, quiet()))).to.include({ code: 'refused' });
    expect(appliance.requests).to.deep.equal([]);
  });

  it('runs requests of one client side by side', async () => {
    const client = await connected();
    appliance.onSync = untilAborted;
    const controller = new AbortController();
    const sync = failure(client.sync({ volume: 'ledger' }, { ...quiet(), signal: controller.signal }));
    expect(await client.status()).to.deep.equal(STATUS);
    controller.abort();
    expect(await sync).to.include({ code: 'stopped' });
  });

  it('cancels an operation when its client asks for that', async () => {
    const client = await connected();
    appliance.onSync = untilAborted;
    const controller = new AbortController();
    const sync = failure(client.sync({ volume: 'ledger' }, { ...quiet(), signal: controller.signal }));
    await client.status();
    controller.abort();
    expect(await sync).to.include({ code: 'stopped', message: 'cancelled' });
    expect(appliance.signals[0]?.aborted).to.equal(true);
  });

  it('serves an export, telling when it is ready, until its client cancels it or is gone', async () => {
    const client = await connected();
    for (const ending of ['cancels', 'is gone']) {
      const controller = new AbortController();
      let exporting: Promise<unknown> = Promise.resolve();
      const told = await new Promise((resolve) => {
        const request = {
          volume: 'branch/ledger',
          at: '2026-11-15',
          socket: '/run/old.sock',
          writable: false,
        };
        const options = { ...quiet(), signal: controller.signal, ready: resolve };
        exporting = client.export(request, options).catch((error: unknown) => error);
      });
      expect(told).to.deep.equal(EXPORTED);
      expect(appliance.signals.at(-1)?.aborted).to.equal(false);
      if (ending === 'cancels') {
        controller.abort();
        expect(await exporting).to.equal(undefined);
      } else {
        client.close();
        expect(await abortOf(appliance.signals.at(-1)!)).to.include({ message: 'the client is gone' });
      }
    }
  });

  it('cancels an operation when its client is gone', async () => {
    const client = await connected();
    appliance.onSync = untilAborted;
    void failure(client.sync({ volume: 'ledger' }, quiet()));
    await client.status();
    client.close();
    expect(await abortOf(appliance.signals[0]!)).to.include({ message: 'the client is gone' });
  });

  it('tells its clients when the appliance stops', async () => {
    const client = await connected();
    appliance.onSync = untilAborted;
    const sync = failure(client.sync({ volume: 'ledger' }, quiet()));
    await client.status();
    await server.close();
    expect(await sync).to.include({ code: 'stopped' });
    expect(await failure(client.status())).to.include({ code: 'stopped' });
    expect(await ControlClient.connect(path)).to.equal(null);
  });

  it('answers what is no request, and goes on', async () => {
    const socket = await raw();
    for (const line of ['nonsense', '[]', '{"id":1,"method":"format"}', '{"id":-1,"method":"status"}']) {
      socket.write(`${line}\n`);
      const [answer] = (await once(socket, 'data')) as [Buffer];
      expect(JSON.parse(answer.toString()), line).to.have.nested.property('error.code', 'refused');
    }
    socket.write('{"id":7,"method":"status"}\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(JSON.parse(answer.toString())).to.deep.equal({ id: 7, result: STATUS });
  });

  it('takes a request of the longest length, and ends a connection that sends one byte more', async () => {
    const socket = await raw();
    const request = '{"id":1,"method":"status"';
    socket.write(`${request}${' '.repeat(MAX_REQUEST_BYTES - request.length - 1)}}\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(JSON.parse(answer.toString())).to.have.property('result');
    socket.write(`${request}${' '.repeat(MAX_REQUEST_BYTES - request.length)}}\n`);
    await once(socket, 'close');
  });

  it('refuses one request more than it runs at once for a client', async () => {
    const client = await connected();
    appliance.onSync = untilAborted;
    const controllers = Array.from({ length: MAX_REQUESTS_UNDER_WAY }, () => new AbortController());
    const running = controllers.map(({ signal }) =>
      failure(client.sync({ volume: 'ledger' }, { ...quiet(), signal })),
    );
    expect(await failure(client.status())).to.include({ code: 'busy' });
    for (const controller of controllers) controller.abort();
    for (const sync of running) expect(await sync).to.include({ code: 'stopped' });
    expect(await client.status()).to.deep.equal(STATUS);
  });

  it('refuses a path that a running appliance serves', async () => {
    expect(await failure(ControlServer.listen(path, appliance, silentLog))).to.include({ code: 'in-use' });
    expect(await (await connected()).status()).to.deep.equal(STATUS);
  });

  it('replaces the socket that a killed process left', async () => {
    const stale = join(folder, 'stale.sock');
    const script = `require('node:net').createServer().listen(${JSON.stringify(stale)}, () => process.kill(process.pid, 'SIGKILL'))`;
    expect(spawnSync(process.execPath, ['-e', script]).signal).to.equal('SIGKILL');
    expect((await stat(stale)).isSocket()).to.equal(true);
    const second = await ControlServer.listen(stale, appliance, silentLog);
    const client = await ControlClient.connect(stale);
    expect(await client?.status()).to.deep.equal(STATUS);
    client?.close();
    await second.close();
  });

  it('leaves a file alone that is in the way', async () => {
    const file = join(folder, 'file');
    await writeFile(file, 'mine');
    expect(await failure(ControlServer.listen(file, appliance, silentLog))).to.include({
      code: 'target-exists',
    });
    expect((await stat(file)).size).to.equal(4);
  });

  it('says what to do when its folder is not there', async () => {
    const error = await failure(ControlServer.listen(join(folder, 'no/c.sock'), appliance, silentLog));
    expect(error).to.include({ code: 'failed' }).and.to.have.property('hint');
  });

  it('takes a server that answers with nonsense for gone', async () => {
    const other = join(folder, 'other.sock');
    const liar = createServer((socket) => socket.end('nonsense\n')).listen(other);
    await once(liar, 'listening');
    const client = await ControlClient.connect(other);
    expect(await failure(client!.status())).to.include({ code: 'stopped' });
    client?.close();
    liar.close();
  });
});
