/** The error values NBD knows (proto.md, "Error values"). ENOMEM is left out: a server should not use it. */
export const Errno = {
  none: 0,
  EPERM: 1,
  EIO: 5,
  EINVAL: 22,
  ENOSPC: 28,
  EOVERFLOW: 75,
  ENOTSUP: 95,
  ESHUTDOWN: 108,
} as const;
export type Errno = (typeof Errno)[keyof typeof Errno];

/** From the `code` of the errors that back ends throw (VolumeError, FileError, Node) to what the client is told. */
const BY_CODE: Readonly<Record<string, Errno>> = {
  'read-only-device': Errno.EPERM,
  'read-only': Errno.EPERM,
  'no-permission': Errno.EPERM,
  EPERM: Errno.EPERM,
  EACCES: Errno.EPERM,
  EROFS: Errno.EPERM,
  'no-space': Errno.ENOSPC,
  ENOSPC: Errno.ENOSPC,
  EDQUOT: Errno.ENOSPC,
  EFBIG: Errno.ENOSPC,
  unsupported: Errno.ENOTSUP,
  ENOTSUP: Errno.ENOTSUP,
  EOPNOTSUPP: Errno.ENOTSUP,
  EINVAL: Errno.EINVAL,
  EOVERFLOW: Errno.EOVERFLOW,
  closed: Errno.ESHUTDOWN,
  ESHUTDOWN: Errno.ESHUTDOWN,
};

/** The errno for a failed back end call. Whatever is not known is EIO: never success. */
export function errnoOf(error: unknown): Errno {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return (typeof code === 'string' && Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined) ?? Errno.EIO;
}
