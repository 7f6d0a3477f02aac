import { VolumeError, type VolumeErrorCode } from '../engine/errors.js';
import { NbdError, type NbdErrorCode } from '../nbd/errors.js';
import { FileError, type FileErrorCode } from '../platform/files.js';

/** An error as it crosses between threads: structured clone keeps neither class nor `code` nor `hint`. */
export interface CarriedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  readonly hint: string | undefined;
  /** Of a FileError. */
  readonly path: string | undefined;
  readonly cause: CarriedError | undefined;
}

/** Causes further down than this are left out. */
const MAX_CAUSES = 4;

export function packError(error: unknown, depth = 0): CarriedError {
  const text = (field: 'code' | 'hint' | 'path'): string | undefined => {
    const value: unknown = error instanceof Error ? Reflect.get(error, field) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const { name, message, stack, cause } =
    error instanceof Error
      ? error
      : { name: 'Error', message: String(error), stack: undefined, cause: undefined };
  return {
    name,
    message,
    stack,
    code: text('code'),
    hint: text('hint'),
    path: text('path'),
    cause: cause === undefined || depth >= MAX_CAUSES ? undefined : packError(cause, depth + 1),
  };
}

/** The error again, of the class it had where that is one callers branch on. */
export function unpackError(carried: CarriedError): Error {
  const options = carried.cause === undefined ? undefined : { cause: unpackError(carried.cause) };
  const error = revive(carried, options);
  if (carried.stack !== undefined) error.stack = carried.stack;
  return error;
}

function revive({ name, message, code, hint, path }: CarriedError, options?: ErrorOptions): Error {
  switch (name) {
    case 'VolumeError':
      return new VolumeError(code as VolumeErrorCode, message, hint, options);
    case 'NbdError':
      return new NbdError(code as NbdErrorCode, message, hint, options);
    case 'FileError':
      return new FileError(code as FileErrorCode, path ?? '', message, options);
    default: {
      const error = new Error(message, options);
      error.name = name;
      return code === undefined ? error : Object.assign(error, { code });
    }
  }
}
