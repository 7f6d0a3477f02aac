import type { KeyPair } from '../config/keys.js';
import type { Clock } from '../platform/clock.js';
import type { Random } from '../platform/random.js';
import type { BackupPeer } from './backup-peer.js';
import { SOFTWARE } from './appliance.js';
import type { Site } from './site.js';

export interface PrimarySiteOptions {
  readonly name: string;
  readonly keys: KeyPair;
  readonly clock: Clock;
  readonly random: Random;
  /** All its backups; they may be added after the site was made. */
  readonly peers: readonly BackupPeer[];
}

/** A primary as its backups meet it. */
export function primarySite({ name, keys, clock, random, peers }: PrimarySiteOptions): Site {
  // Not complete: it knows of what backups say of suspect blocks.
  const hello = { name, software: SOFTWARE, copies: [], complete: false } as const;
  const peerOf = (peer: string): BackupPeer => {
    const found = peers.find((each) => each.name === peer);
    if (found === undefined) throw new RangeError(`no backup ${peer}`);
    return found;
  };
  return {
    role: 'primary',
    keys,
    clock,
    random,
    peerName: (key) => peers.find(({ publicKey }) => Buffer.compare(publicKey, key) === 0)?.name,
    hello: () => hello,
    meet: (meeting) => peerOf(meeting.peer).meet(meeting),
    account: (peer, transport, call) => peerOf(peer).account(transport, call),
  };
}
