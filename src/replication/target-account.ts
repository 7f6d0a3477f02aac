import type { Commit } from '../../protocol/messages/message.js';
import { tellAddressesApart, type LineBytes } from '../../protocol/set-account.js';
import type { PointAccount } from '../store/volume-store.js';
import type { IncomingSet } from './incoming-set.js';
import type { SetLedger } from './set-ledger.js';

/** What a set has cost, as its restore point is to say it: told by the primary with the commit, and counted here. */
export function accountOf(
  { volume, account }: Commit,
  { store, order }: IncomingSet,
  ledger: SetLedger | undefined,
): PointAccount {
  const encoded = order.reduce((sum, id) => sum + (store.parcel(id)?.length ?? 0), 0);
  const share = account?.addresses === undefined ? null : { addresses: account.addresses, encoded };
  const told = (line: LineBytes | null | undefined): LineBytes | null =>
    line == null ? null : tellAddressesApart(line, share);
  return {
    written: account?.written ?? null,
    byPrimary: told(account?.line),
    byBackup: told(ledger?.account(volume)),
  };
}
