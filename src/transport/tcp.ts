import { createServer, connect, type Server, type Socket } from 'node:net';
import { Transform, type Duplex, type Readable, type TransformCallback } from 'node:stream';
import { LineCutter } from '../../protocol/framing/line-cutter.js';
import { sleep, type Clock } from '../platform/clock.js';
import { TransportError, type TransportErrorCode } from './errors.js';
import { StreamTransport } from './stream-transport.js';
import type { Dialer, Listener, Transport } from './transport.js';

export interface TcpSettings {
  readonly host: string;
  readonly port: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const RELISTEN_MS = 5000;
/** Calls that one port serves at a time, strangers included. */
const MAX_CALLS = 64;
/** How much the system may hold before a frame has to wait. */
const SEND_BUFFER_BYTES = 256 << 10;

const nameOf = ({ host, port }: TcpSettings): string => `tcp ${host}:${port}`;

/** TCP as a fallback for a line, as the calling side. */
export function tcpDialer(settings: TcpSettings, clock: Clock): Dialer {
  return {
    name: nameOf(settings),
    type: 'tcp',
    dial: (signal) => dial(settings, clock, signal),
  };
}

function dial(settings: TcpSettings, clock: Clock, signal: AbortSignal): Promise<Transport> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...settings, writableHighWaterMark: SEND_BUFFER_BYTES } as never);
    const fail = (error: Error): void => {
      cancel();
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(signal.reason as Error);
    const onError = (cause: Error): void => fail(dialError(settings, cause));
    const cancel = clock.after(CONNECT_TIMEOUT_MS, () => {
      fail(
        new TransportError('lost', `${nameOf(settings)}: no answer`, 'is the backup running and reachable'),
      );
    });
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', onError);
    socket.on('connect', () => {
      cancel();
      signal.removeEventListener('abort', onAbort);
      socket.off('error', onError);
      resolve(overSocket(socket, nameOf(settings), clock));
    });
  });
}

function dialError(settings: TcpSettings, cause: Error): TransportError {
  const refused = (cause as NodeJS.ErrnoException).code === 'ECONNREFUSED';
  const code: TransportErrorCode = refused ? 'refused' : 'failed';
  const hint = refused ? 'is the backup running, and is this its address and port' : undefined;
  return new TransportError(code, `${nameOf(settings)}: ${cause.message}`, hint, { cause });
}

/** The same as the answering side: many calls at once. */
export function tcpListener(settings: TcpSettings, clock: Clock): Listener {
  return {
    name: nameOf(settings),
    type: 'tcp',
    async listen(onCall, report, signal) {
      const calls = new Set<Transport>();
      while (!signal.aborted) {
        try {
          await serve(
            settings,
            signal,
            (socket) => {
              const transport = overSocket(socket, nameOf(settings), clock);
              calls.add(transport);
              void onCall(transport).finally(() => calls.delete(transport));
            },
            () => report(null),
          );
        } catch (error) {
          report(listenError(settings, error as Error));
        }
        await sleep(clock, RELISTEN_MS, signal).catch(() => undefined);
      }
      await Promise.all([...calls].map((transport) => transport.close()));
    },
  };
}

/** Resolves when the signal aborts; rejects when the port cannot be had. */
function serve(
  settings: TcpSettings,
  signal: AbortSignal,
  onSocket: (socket: Socket) => void,
  onListening: () => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const server: Server = createServer({ highWaterMark: SEND_BUFFER_BYTES }, onSocket);
    server.maxConnections = MAX_CALLS;
    const stop = (): void => {
      server.close();
      resolve();
    };
    server.on('error', (error) => {
      signal.removeEventListener('abort', stop);
      server.close();
      reject(error);
    });
    server.on('listening', onListening);
    signal.addEventListener('abort', stop, { once: true });
    server.listen({ host: settings.host, port: settings.port });
  });
}

function listenError(settings: TcpSettings, cause: Error): TransportError {
  const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE';
  return new TransportError(
    taken ? 'in-use' : 'failed',
    `${nameOf(settings)}: cannot listen: ${cause.message}`,
    taken ? 'another program listens there: choose another port' : undefined,
    { cause },
  );
}

function overSocket(socket: Socket, name: string, clock: Clock): Transport {
  socket.setNoDelay(true);
  return new StreamTransport(socket, {
    name,
    type: 'tcp',
    bytesPerSecond: undefined,
    clock,
    cut: (stream: Duplex): Readable => stream.pipe(new FrameCutter()),
    shut: (stream) => {
      stream.destroy();
      return Promise.resolve();
    },
  });
}

/** The pure cutter as a stream of frames. */
class FrameCutter extends Transform {
  readonly #cutter = new LineCutter();

  constructor() {
    super({ readableObjectMode: true });
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    for (const frame of this.#cutter.push(chunk)) this.push(frame);
    done();
  }
}
