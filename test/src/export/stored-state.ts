import { byteCount, stateId, wallTime } from '../../../protocol/units.js';
import type { StateReader } from '../../../src/store/volume-store.js';
import { MemoryFiles } from '../../support/memory-files.js';

/** A state with this content, as a store would open it: holes are the 4 KiB pieces of zeros. */
export async function storedState(content: Uint8Array, blockSize: number): Promise<StateReader> {
  const files = new MemoryFiles();
  const file = await files.open('/state', 'create-new');
  await file.truncate(content.byteLength);
  await file.write(content, 0);
  return {
    state: {
      id: stateId('5'.repeat(32)),
      parent: null,
      ordinal: 0,
      time: wallTime(1_700_000_000_000),
      grade: 'quiet',
      size: byteCount(content.byteLength),
    },
    blockSize,
    read: (into, position) => file.read(into, position),
    nextData: (from) => file.nextData(from),
    close: () => file.close(),
  };
}
