import type { BackupPeer } from './backup-peer.js';
import { ApplianceError } from './errors.js';
import type { ProtectedVolume } from './protected-volumes.js';

/** The volume of this name. Throws `unknown-volume`. */
export function volumeNamed(volumes: readonly ProtectedVolume[], name: string): ProtectedVolume {
  const found = volumes.find((volume) => volume.name === name);
  if (found !== undefined) return found;
  const names = volumes.map((volume) => volume.name).join(', ');
  throw new ApplianceError('unknown-volume', `there is no volume ${name} here`, `the volumes are: ${names}`);
}

/** The backup of this name, or the only one; `option` says it. Throws `unknown-backup`, `ambiguous`. */
export function peerNamed(
  peers: readonly BackupPeer[],
  name: string | undefined,
  option: '--to' | '--backup',
): BackupPeer {
  const names = peers.map((peer) => peer.name).join(', ');
  if (name === undefined) {
    const [only, ...others] = peers;
    if (only === undefined) throw new ApplianceError('unknown-backup', 'no backup is in the configuration');
    if (others.length > 0)
      throw new ApplianceError('ambiguous', 'say which backup', `use ${option} with one of: ${names}`);
    return only;
  }
  const found = peers.find((peer) => peer.name === name);
  if (found === undefined) {
    throw new ApplianceError(
      'unknown-backup',
      `there is no backup ${name} here`,
      `the backups are: ${names}`,
    );
  }
  return found;
}
