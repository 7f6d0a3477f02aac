import { expect } from 'chai';
import type {
  BackupConfiguration,
  PrimaryConfiguration,
  VolumeConfiguration,
} from '../../../src/config/configuration.js';
import { planBackup, planPrimary } from '../../../src/appliance/reload-plan.js';

const volume = (name: string, more: Partial<VolumeConfiguration> = {}): VolumeConfiguration => ({
  name,
  device: `/srv/${name}`,
  blockSize: 4096,
  nbd: { kind: 'unix', path: `/run/${name}.sock` },
  group: null,
  schedule: null,
  consistency: {
    quietMs: 2000,
    deadlineMs: 60_000,
    atDeadline: 'crash',
    before: null,
    after: null,
    notice: null,
    graceMs: 0,
  },
  pending: 'newest',
  maxAgeMs: 86_400_000,
  ...more,
});
const PRIMARY: PrimaryConfiguration = {
  role: 'primary',
  file: '/etc/farcopy.yaml',
  name: 'branch',
  state: '/var/lib/farcopy',
  control: '/run/control.sock',
  listen: [],
  beforeImages: { budgetBytes: 1 << 30 },
  encoding: { indexBytes: 1 << 20 },
  volumes: [volume('ledger')],
  backups: [{ name: 'vault', publicKey: new Uint8Array(32), links: [] }],
};
const BACKUP: BackupConfiguration = {
  role: 'backup',
  file: '/etc/farcopy.yaml',
  name: 'vault',
  state: '/var/lib/farcopy',
  control: '/run/control.sock',
  listen: [],
  store: '/srv/store',
  primaries: [
    {
      name: 'branch',
      publicKey: new Uint8Array(32),
      keep: null,
      drill: null,
      scrub: null,
      silentAfterMs: null,
      poll: null,
    },
  ],
};

describe('what a primary has to do for a new configuration', () => {
  const plan = (next: Partial<PrimaryConfiguration>) => planPrimary(PRIMARY, { ...PRIMARY, ...next });
  const none = { kind: 'change', added: [], removed: [], snapshots: false, backups: false };

  it('nothing, where it is the same', () => {
    expect(plan({ volumes: [volume('ledger')] })).to.deep.equal(none);
  });

  it('a schedule, a consistency rule or a group costs no call', () => {
    for (const more of [
      { schedule: '0 * * * *' },
      { group: 'books' },
      { consistency: { ...volume('x').consistency, quietMs: 1 } },
    ]) {
      expect(plan({ volumes: [volume('ledger', more)] })).to.deep.equal({ ...none, snapshots: true });
    }
  });

  it('links and backups cost the calls alone', () => {
    expect(plan({ backups: [] })).to.deep.equal({ ...none, backups: true });
  });

  it('volumes come and go', () => {
    const journal = volume('journal');
    expect(plan({ volumes: [journal] })).to.deep.equal({
      kind: 'change',
      added: [journal],
      removed: ['ledger'],
      snapshots: true,
      backups: true,
    });
  });

  it('what cannot be changed is named, all of it', () => {
    const { nbd } = volume('ledger');
    const refused = plan({
      name: 'other',
      beforeImages: { budgetBytes: 1 },
      volumes: [volume('ledger', { device: '/srv/else', blockSize: 512 }), volume('journal', { nbd })],
    });
    expect(refused).to.deep.equal({
      kind: 'refused',
      reasons: [
        'name',
        'beforeImages',
        'device of volume ledger',
        'blockSize of volume ledger',
        'volume journal on the NBD socket of another',
      ],
    });
  });
});

describe('what a backup has to do for a new configuration', () => {
  const [branch] = BACKUP.primaries;
  if (branch === undefined) throw new Error('no primary');
  const plan = (next: Partial<BackupConfiguration>) => planBackup(BACKUP, { ...BACKUP, ...next });
  const none = { kind: 'change', dismissed: [], polls: false, checks: false, keep: false };

  it('each thing by itself', () => {
    expect(plan({})).to.deep.equal(none);
    const keep = { last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0 };
    expect(plan({ primaries: [{ ...branch, keep }] })).to.deep.equal({ ...none, keep: true });
    const drill = { command: 'true', schedule: '0 5 * * *' };
    expect(plan({ primaries: [{ ...branch, drill }] })).to.deep.equal({ ...none, checks: true });
    const scrub = { schedule: '0 3 * * 0', bytesPerSecond: null };
    expect(plan({ primaries: [{ ...branch, scrub }] })).to.deep.equal({ ...none, checks: true });
    const other = { ...branch, publicKey: new Uint8Array(32).fill(1) };
    expect(plan({ primaries: [other] })).to.deep.equal({ ...none, dismissed: ['branch'], polls: true });
    expect(plan({ store: '/srv/else' })).to.deep.equal({ kind: 'refused', reasons: ['store'] });
  });
});
