import { NbdServer } from '../nbd/server.js';
import type { Clock } from '../platform/clock.js';
import type { StateReader } from '../store/volume-store.js';
import { OverlayExport, type OverlayPlace } from './overlay-export.js';
import { StateExport, type ExportNames } from './state-export.js';

export interface ServeOptions {
  readonly names: ExportNames;
  /** Absolute path of the Unix socket to serve on. */
  readonly socket: string;
  readonly clock: Clock;
  /** Where what is written goes; null: read-only. */
  readonly overlay: OverlayPlace | null;
}

/**
 * Serves a state over NBD until the returned function has resolved: all requests are finished then, the socket and
 * what was written are gone, and the reader, which stays the caller's, may be closed. Fails with `NbdError` or
 * `FileError`.
 */
export async function serveState(
  reader: StateReader,
  { names, socket, clock, overlay }: ServeOptions,
): Promise<() => Promise<void>> {
  const writable = overlay === null ? null : await OverlayExport.open(reader, names, overlay);
  const backend = writable ?? new StateExport(reader, names);
  try {
    const address = { kind: 'unix', path: socket } as const;
    const server = await NbdServer.listen({ address, exports: () => [backend], clock });
    return async () => {
      await server.close();
      await writable?.close();
    };
  } catch (cause) {
    await writable?.close();
    throw cause;
  }
}
