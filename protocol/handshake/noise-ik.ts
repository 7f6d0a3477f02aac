import NoiseState from 'noise-handshake';
import { ProtocolError } from '../errors.js';
import { generateKeyPair, KEY_BYTES, type KeyPair } from './keys.js';
import { peerRoleOf, prologue, type Role } from './roles.js';

/**
 * The Noise handshake `Noise_IK_25519_ChaChaPoly_BLAKE2b`: the caller knows the static key of the one it calls and
 * sends its own under encryption; each of the two frames carries a payload. What comes out is one key for each
 * direction; everything after that is the sealer's.
 *
 * The library's state is spoilt by a frame that does not fit and its ephemeral key is wiped at the end. So a state is
 * made anew for every attempt to read, and the caller's is made from one ephemeral secret, so that the same call can be
 * repeated on the line byte for byte and any of several answers can be tried.
 */

/** Bytes that the first frame adds to its payload: ephemeral key, encrypted static key, and a tag for each part. */
export const CALL_OVERHEAD = KEY_BYTES + KEY_BYTES + 16 + 16;
/** Bytes that the answer adds to its payload: ephemeral key and tag. */
export const ANSWER_OVERHEAD = KEY_BYTES + 16;

/** One key for each direction, 32 bytes each, as the holder sees them. */
export interface SessionKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

/** A call that was made and waits for its answer. */
export interface Call {
  /** The first handshake frame's content: to be sent, and repeated, as it is. */
  readonly bytes: Uint8Array;
  /** The answer's payload and the session's keys. Throws `bad-handshake`; another answer can be tried afterwards. */
  read(answer: Uint8Array): { readonly keys: SessionKeys; readonly payload: Uint8Array };
}

/** Calls the holder of `peerKey` as `role`. */
export function call(
  role: Role,
  keys: KeyPair,
  peerKey: Uint8Array,
  payload: Uint8Array,
  random: (count: number) => Uint8Array,
): Call {
  const ephemeral = generateKeyPair(random);
  const begin = (): { readonly state: NoiseState; readonly bytes: Uint8Array } => {
    const state = new NoiseState('IK', true, copyOf(keys));
    state.initialise(Buffer.from(prologue(role, peerRoleOf(role))), Buffer.from(peerKey));
    useEphemeral(state, ephemeral);
    return { state, bytes: state.send(Buffer.from(payload)) };
  };
  const { bytes } = begin();
  return {
    bytes,
    read(answer) {
      const { state } = begin();
      const received = refusing(() => state.recv(Buffer.from(answer)));
      return { keys: sessionKeys(state), payload: Uint8Array.from(received) };
    },
  };
}

/** A call that was read; nothing has been answered yet. */
export interface Caller {
  readonly peerKey: Uint8Array;
  readonly payload: Uint8Array;
  /** The second handshake frame's content and the session's keys; to be called once. */
  answer(
    payload: Uint8Array,
    random: (count: number) => Uint8Array,
  ): { readonly bytes: Uint8Array; readonly keys: SessionKeys };
}

/**
 * Reads a call as `role`. It proves that the caller knows the secret of `peerKey`, but it may be a recording: only a
 * sealed frame under the new keys proves that the caller is there. Throws `bad-handshake`, and `unknown-peer` when
 * `acceptPeer` says no.
 */
export function readCall(
  role: Role,
  keys: KeyPair,
  acceptPeer: (peerKey: Uint8Array) => boolean,
  bytes: Uint8Array,
): Caller {
  const state = new NoiseState('IK', false, copyOf(keys));
  state.initialise(Buffer.from(prologue(peerRoleOf(role), role)));
  const payload = Uint8Array.from(refusing(() => state.recv(Buffer.from(bytes))));
  const peerKey = Uint8Array.from(state.rs ?? []);
  if (!acceptPeer(peerKey)) throw new ProtocolError('unknown-peer', 'handshake: the static key is not known');
  return {
    peerKey,
    payload,
    answer(answerPayload, random) {
      useEphemeral(state, generateKeyPair(random));
      // A caller's ephemeral key of low order is found only here.
      const answer = refusing(() => state.send(Buffer.from(answerPayload)));
      return { bytes: answer, keys: sessionKeys(state) };
    },
  };
}

/** The library writes into and wipes what it is given. */
const copyOf = (pair: KeyPair): { secretKey: Buffer; publicKey: Buffer } => ({
  secretKey: Buffer.from(pair.secretKey),
  publicKey: Buffer.from(pair.publicKey),
});

function useEphemeral(state: NoiseState, pair: KeyPair): void {
  (state as { e: KeyPair | null }).e = copyOf(pair);
}

function refusing<Result>(step: () => Result): Result {
  try {
    return step();
  } catch (cause) {
    throw new ProtocolError('bad-handshake', 'handshake: the frame does not fit', { cause });
  }
}

function sessionKeys(state: NoiseState): SessionKeys {
  if (state.tx === null || state.rx === null) throw new Error('handshake: not complete');
  return { send: Uint8Array.from(state.tx), receive: Uint8Array.from(state.rx) };
}
