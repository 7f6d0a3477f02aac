import type { ApplianceStatus } from '../src/appliance/status.js';

export type Action =
  | 'sync'
  | 'snapshot'
  | 'pause'
  | 'hang-up'
  | 'compare'
  | 'refresh'
  | 'previous'
  | 'next'
  | 'older-events'
  | 'newer-events'
  | 'help'
  | 'quit';

export interface KeyBinding {
  readonly action: Action;
  /** As the terminal names them. */
  readonly keys: readonly string[];
  /** As people name them. */
  readonly shown: string;
  /** In the line at the bottom; absent: only in the help. */
  readonly label?: string;
  readonly help: string;
  /** Whose work it is; absent: both. */
  readonly role?: ApplianceStatus['role'];
}

export const KEYMAP: readonly KeyBinding[] = [
  {
    action: 'sync',
    keys: ['s'],
    shown: 's',
    label: 'sync',
    help: 'consistent snapshot of the chosen volume now, and send it',
    role: 'primary',
  },
  {
    action: 'snapshot',
    keys: ['n'],
    shown: 'n',
    label: 'snapshot',
    help: 'seal its state at once: the application is consistent',
    role: 'primary',
  },
  {
    action: 'compare',
    keys: ['c'],
    shown: 'c',
    label: 'compare',
    help: 'compare it with its far copy, send what differs',
    role: 'primary',
  },
  {
    action: 'pause',
    keys: ['p'],
    shown: 'p',
    label: 'pause',
    help: 'stop its transfers for now, or let them go on',
    role: 'primary',
  },
  { action: 'hang-up', keys: ['h'], shown: 'h', label: 'hang up', help: 'end the call on a link' },
  { action: 'refresh', keys: ['r'], shown: 'r', label: 'refresh', help: 'ask for everything again' },
  { action: 'previous', keys: ['up', 'k'], shown: 'up', help: 'choose the volume above' },
  { action: 'next', keys: ['down', 'j'], shown: 'down', help: 'choose the volume below' },
  { action: 'older-events', keys: ['pageup'], shown: 'PgUp', help: 'older events' },
  { action: 'newer-events', keys: ['pagedown'], shown: 'PgDn', help: 'newer events' },
  { action: 'help', keys: ['?', 'f1'], shown: '?', label: 'help', help: 'this page' },
  { action: 'quit', keys: ['q', 'C-c'], shown: 'q', label: 'quit', help: 'quit' },
];

/** What a key asks for; null: nothing. */
export const actionOf = (key: string): Action | null =>
  KEYMAP.find(({ keys }) => keys.includes(key))?.action ?? null;

/** The bindings that mean something to this role. */
export const keysFor = (role: ApplianceStatus['role'] | undefined): readonly KeyBinding[] =>
  KEYMAP.filter((binding) => role === undefined || binding.role === undefined || binding.role === role);
