import { z } from 'zod';
import * as field from './field.js';
import { listOf, mapping } from './field.js';

/*
 * The shape of `farcopy.yaml` (DESIGN section 8), with its defaults. Paths are still as written: `load.ts` makes them
 * absolute, and `conflicts.ts` looks at what no single field can tell.
 */

const serialPort = {
  type: z.literal('serial'),
  device: field.path,
  baudRate: field.baudRate,
  flow: field.serialFlow.default('none'),
};
const tcpPort = { type: z.literal('tcp'), host: field.host, port: field.port };

const floor = {
  minRate: field.rate.optional(),
  minRateTime: field.duration.default(120_000),
};

const serialCall = mapping({ ...serialPort, ...floor });
const tcpCall = mapping({ ...tcpPort, ...floor });

const modemCall = mapping({
  type: z.literal('modem'),
  device: field.path,
  baudRate: field.baudRate,
  dial: field.dial,
  window: field.timeWindow.optional(),
  costPerMinute: field.cost.optional(),
  callsPerDay: field.callCount.default(200),
  ...floor,
  init: field.modemInit.optional(),
  flow: field.modemFlow.default('rtscts'),
  connectTimeout: field.duration.default(90_000),
});

const modemAnswer = mapping({
  type: z.literal('modem'),
  device: field.path,
  baudRate: field.baudRate,
  answerAfter: field.rings.default(1),
  init: field.modemInit.optional(),
  flow: field.modemFlow.default('rtscts'),
});

const LINK_KINDS = 'a mapping whose type is serial, modem or tcp';

const links = listOf(
  z.discriminatedUnion('type', [serialCall, modemCall, tcpCall], { error: LINK_KINDS }),
  'links',
);

const listen = listOf(
  z.discriminatedUnion('type', [mapping(serialPort), modemAnswer, mapping(tcpPort)], { error: LINK_KINDS }),
  'ports',
);

const consistency = mapping({
  quiet: field.duration.default(2000),
  deadline: field.duration.default(60_000),
  atDeadline: field.atDeadline.default('crash'),
  before: field.command.optional(),
  after: field.command.optional(),
  notice: field.command.optional(),
  grace: field.duration.optional(),
});

const volume = mapping({
  name: field.name,
  device: field.path,
  blockSize: field.blockSize.default(4096),
  nbd: field.nbdAddress.optional(),
  group: field.name.optional(),
  schedule: field.cron.optional(),
  consistency: consistency.optional(),
  pending: field.pending.default('newest'),
  maxAge: field.duration.default(24 * 3_600_000),
});

const keep = mapping({
  last: field.pointCount.default(0),
  hourly: field.pointCount.default(0),
  daily: field.pointCount.default(0),
  weekly: field.pointCount.default(0),
  monthly: field.pointCount.default(0),
});

const appliance = {
  name: field.name,
  state: field.path.default('./state'),
  control: field.path.optional(),
  listen: listen.default([]),
};

/** What a volume has that says nothing of it. */
export const defaultConsistency = consistency.parse({});

export const primarySchema = mapping({
  role: z.literal('primary'),
  ...appliance,
  encoding: mapping({ index: field.size.default(2 ** 26) }).prefault({}),
  beforeImages: mapping({ budget: field.size.default(2 ** 31) }).prefault({}),
  volumes: listOf(volume, 'volumes'),
  backups: listOf(
    mapping({ name: field.name, publicKey: field.publicKey, links: links.default([]) }),
    'backups',
  ).default([]),
});

export const backupSchema = mapping({
  role: z.literal('backup'),
  ...appliance,
  store: field.path.default('./store'),
  primaries: listOf(
    mapping({
      name: field.name,
      publicKey: field.publicKey,
      keep: keep.optional(),
      drill: mapping({ command: field.command, schedule: field.cron }).optional(),
      scrub: mapping({ schedule: field.cron, rate: field.size.optional() }).optional(),
      silentAfter: field.duration.optional(),
      poll: mapping({ schedule: field.cron, links }).optional(),
    }),
    'primaries',
  ).default([]),
});

export const configurationSchema = z.discriminatedUnion('role', [primarySchema, backupSchema], {
  error: 'a mapping whose role is primary or backup',
});

/** The file as it was written, checked field by field. */
export type WrittenConfiguration = z.infer<typeof configurationSchema>;
export type WrittenPrimary = z.infer<typeof primarySchema>;
export type WrittenBackup = z.infer<typeof backupSchema>;
