import { type Range } from '../../protocol/ranges.js';
import type { File } from '../platform/files.js';
import { breathe, SLICE_BYTES, zeros } from './block-content.js';

/** How much is given back to the file system in one call, which blocks. */
const PUNCH_BYTES = 32 << 20;

/** See `File.nextData`, but nothing of the range before `from`. */
export async function nextDataFrom(file: File, from: number): Promise<Range | null> {
  const data = await file.nextData(from);
  return data === null ? null : { start: Math.max(from, data.start), end: data.end };
}

/** Makes a byte range read as zeros; what is a hole already costs nothing. */
export async function clearRange(file: File, { start, end }: Range): Promise<void> {
  for (let at = start; at < end;) {
    const data = await nextDataFrom(file, at);
    if (data === null || data.start >= end) return;
    const until = Math.min(data.end, end, data.start + PUNCH_BYTES);
    if (!file.punchSync(data.start, until - data.start)) await writeZeros(file, data.start, until);
    at = until;
    await breathe();
  }
}

async function writeZeros(file: File, start: number, end: number): Promise<void> {
  for (let at = start; at < end; at += SLICE_BYTES) {
    await file.write(zeros(Math.min(SLICE_BYTES, end - at)), at);
  }
}
