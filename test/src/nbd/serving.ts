import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExportBackend } from '../../../src/nbd/backend.js';
import type { NbdAddress } from '../../../src/nbd/listener.js';
import { NbdServer, type NbdServerOptions } from '../../../src/nbd/server.js';
import { systemClock } from '../../../src/platform/clock.js';

const undo: (() => Promise<void> | void)[] = [];

/** A folder that is gone after the test. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'fc-nbd-'));
  undo.push(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Serves back ends on a Unix socket of its own until the test is over. */
export async function serving(
  backends: readonly ExportBackend[],
  options: Partial<NbdServerOptions> = {},
): Promise<{ server: NbdServer; address: NbdAddress; path: string; uri: string }> {
  const path = join(testFolder(), 's.sock');
  const server = await NbdServer.listen({
    address: { kind: 'unix', path },
    exports: () => backends,
    clock: systemClock,
    ...options,
  });
  undo.push(() => server.close());
  return { server, address: server.address, path, uri: `nbd+unix:///?socket=${path}` };
}

/** Takes down, in reverse order, what a test set up. */
export async function takeDown(): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step();
}

afterEach(takeDown);
