import { Errno } from './errno.js';
import { MAX_REQUEST_BYTES } from './limits.js';
import { Command, CommandFlag, type RequestHeader } from './wire.js';

/** What the handshake settled and the export is: all that a request is held against. */
export interface RequestRules {
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly structuredReplies: boolean;
  /** Were meta contexts chosen, without which BLOCK_STATUS has nothing to say. */
  readonly metaContexts: boolean;
}

/** FUA is allowed everywhere: clients are known to set it on commands that write nothing. */
const FLAGS: Readonly<Record<number, number>> = {
  [Command.read]: CommandFlag.fua | CommandFlag.df,
  [Command.write]: CommandFlag.fua,
  [Command.disconnect]: CommandFlag.fua,
  [Command.flush]: CommandFlag.fua,
  [Command.trim]: CommandFlag.fua,
  [Command.cache]: CommandFlag.fua,
  [Command.writeZeroes]: CommandFlag.fua | CommandFlag.noHole,
  [Command.blockStatus]: CommandFlag.fua | CommandFlag.reqOne,
};

/**
 * Checks a request before any work is done for it, in a fixed order: command, flags, what was negotiated, write
 * access, length, range. `Errno.none` means that everything after this may trust it.
 */
export function checkRequest(request: RequestHeader, rules: RequestRules): Errno {
  const { command, flags, offset, length } = request;
  const allowed = FLAGS[command];
  if (allowed === undefined) return Errno.EINVAL;
  if ((flags & ~allowed) !== 0) return Errno.EINVAL;
  if ((flags & CommandFlag.df) !== 0 && !rules.structuredReplies) return Errno.EINVAL;
  if (command === Command.blockStatus && !rules.metaContexts) return Errno.EINVAL;
  if (rules.readOnly && writes(command)) return Errno.EPERM;
  if (command === Command.flush || command === Command.disconnect) {
    return offset === 0 && length === 0 ? Errno.none : Errno.EINVAL;
  }
  if (length === 0) return Errno.EINVAL;
  if (length > MAX_REQUEST_BYTES && (command === Command.read || command === Command.write)) {
    return (flags & CommandFlag.df) !== 0 ? Errno.EOVERFLOW : Errno.EINVAL;
  }
  if (offset > rules.sizeBytes || length > rules.sizeBytes - offset) {
    return command === Command.write || command === Command.writeZeroes ? Errno.ENOSPC : Errno.EINVAL;
  }
  return Errno.none;
}

const writes = (command: number): boolean =>
  command === Command.write || command === Command.trim || command === Command.writeZeroes;
