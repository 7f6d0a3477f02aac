import type { MessagePort } from 'node:worker_threads';
import type { NbdAddress } from '../nbd/listener.js';
import type { CarriedError } from './carried-error.js';

/** One volume of a host; paths are absolute. */
export interface HostedVolume {
  readonly name: string;
  /** Image file or block device. */
  readonly device: string;
  readonly blockSize: number;
  /** The volume's own folder for maps and before-images. */
  readonly folder: string;
  readonly beforeImageBudgetBytes: number;
}

/** What a host thread is started with. `calls` answers `VolumeService` calls by volume name. */
export interface HostThreadData {
  readonly nbd: NbdAddress;
  readonly volumes: readonly HostedVolume[];
  readonly calls: MessagePort;
}

/** From the main thread: finish what is under way, close in order, say `closed`. Also while still opening. */
export interface HostOrder {
  readonly kind: 'close';
}

/** From the host thread. After `not-started` and `closed` it ends by itself. */
export type HostReport =
  | { readonly kind: 'started'; readonly address: NbdAddress }
  | { readonly kind: 'not-started'; readonly error: CarriedError }
  | { readonly kind: 'closed'; readonly error: CarriedError | null };
