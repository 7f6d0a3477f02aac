import { deltaAddressBytes } from '../../protocol/parcel/delta-script.js';
import type { Compressor, ParcelContent } from '../../protocol/parcel/parcel.js';
import { estimatedBytes } from './estimate.js';

/** An encoded parcel, and how many of its bytes are addresses. */
export interface MeasuredParcel {
  readonly encoded: Uint8Array;
  /**
   * What says where content goes and where it lies already: run table, references, copy instructions. Within one
   * compressed stream that is an attribution: what the addresses, which come first in it, cost when compressed alone.
   */
  readonly addresses: number;
}

/** A form as it is before compression, and where its addresses end. */
export interface MeasuredForm {
  readonly form: Uint8Array;
  readonly addressBytes: number;
}

/** Addresses up to here are compressed as the stream is; longer ones quickly, which makes little difference to them. */
const CLOSELY_MEASURED = 16 << 10;

/** `encoded` is a format byte and the form, as it is or as `compressor` makes it. */
export function measured(
  encoded: Uint8Array,
  { form, addressBytes }: MeasuredForm,
  compressor: Compressor,
): MeasuredParcel {
  const whole = encoded.byteLength;
  if (addressBytes === form.byteLength) return { encoded, addresses: whole };
  // The format byte is one of them.
  if (whole > form.byteLength) return { encoded, addresses: addressBytes + 1 };
  const part = form.subarray(0, addressBytes);
  const alone =
    addressBytes <= CLOSELY_MEASURED ? compressor.compress(part).byteLength : estimatedBytes(part, false);
  return { encoded, addresses: Math.min(whole, alone + 1) };
}

export const deltaForm = (form: Uint8Array): MeasuredForm => ({
  form,
  addressBytes: deltaAddressBytes(form),
});

/** `serialized` as `serializeParcel` makes it of `parcel`. */
export const plainForm = (serialized: Uint8Array, { content }: ParcelContent): MeasuredForm => ({
  form: serialized,
  addressBytes: serialized.byteLength - content.byteLength,
});
