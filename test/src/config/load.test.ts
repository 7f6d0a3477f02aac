import { expect } from 'chai';
import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ConfigError } from '../../../src/config/config-error.js';
import type { Configuration } from '../../../src/config/configuration.js';
import { loadConfiguration } from '../../../src/config/load.js';
import { nodeFiles } from '../../../src/platform/node-files.js';

const KEY = Buffer.alloc(32, 1).toString('base64');
const OTHER_KEY = Buffer.alloc(32, 2).toString('base64');

/** A primary with one volume; `more` is added at the end. */
const primary = (more: string): string => `role: primary
name: branch-12
volumes:
  - name: ledger
    device: ./ledger.img
${more}`;

const backup = (more: string): string => `role: backup
name: vault
${more}`;

describe('reading farcopy.yaml', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'farcopy-config-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function load(text: string): Promise<Configuration> {
    const file = join(folder, 'farcopy.yaml');
    await writeFile(file, text);
    return loadConfiguration(file, nodeFiles);
  }

  /** The error's lines without the folder. */
  async function refusals(text: string): Promise<readonly string[]> {
    try {
      await load(text);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      expect(error.code).to.equal('invalid');
      return error.message.split('\n').map((line) => line.replace(`${folder}/`, ''));
    }
    throw new Error('the configuration was accepted');
  }

  it('fills in the defaults of a small primary and makes its paths absolute', async () => {
    const configuration = await load(primary(''));
    expect(configuration).to.deep.equal({
      role: 'primary',
      file: join(folder, 'farcopy.yaml'),
      name: 'branch-12',
      state: join(folder, 'state'),
      control: join(folder, 'state/control.sock'),
      listen: [],
      encoding: { indexBytes: 2 ** 26 },
      beforeImages: { budgetBytes: 2 ** 31 },
      volumes: [
        {
          name: 'ledger',
          device: join(folder, 'ledger.img'),
          blockSize: 4096,
          nbd: { kind: 'unix', path: join(folder, 'state/ledger.sock') },
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
        },
      ],
      backups: [],
    });
  });

  it('reads every setting of a primary', async () => {
    const configuration = await load(
      primary(`    blockSize: 64KiB
    nbd: tcp://[::1]:10809
    schedule: "0 * * * *"
    pending: finish
    maxAge: 90m
    consistency: { quiet: 500ms, deadline: 1.5m, atDeadline: skip, before: "fsfreeze -f /x", after: "fsfreeze -u /x", notice: wall, grace: 30s }
encoding: { index: 16MiB }
beforeImages: { budget: 512MiB }
backups:
  - name: vault
    publicKey: ${KEY}
    links:
      - { type: serial, device: ./line, baudRate: 9600, minRate: 40 }
      - { type: modem, device: /dev/ttyS1, baudRate: 115200, dial: "5551234", window: "22:00-06:30", costPerMinute: 0.02, init: [ATZ, AT+MS=V34], flow: none, connectTimeout: 2m, callsPerDay: 20 }
      - { type: tcp, host: vault.example, port: 7400, minRate: 2000, minRateTime: 5m }
listen:
  - { type: modem, device: /dev/ttyS1, baudRate: 115200, init: ATZ }
`),
    );
    if (configuration.role !== 'primary') throw new Error('not a primary');
    expect(configuration.beforeImages.budgetBytes).to.equal(2 ** 29);
    expect(configuration.encoding.indexBytes).to.equal(2 ** 24);
    expect(configuration.volumes[0]).to.deep.include({
      blockSize: 65_536,
      nbd: { kind: 'tcp', host: '::1', port: 10_809 },
      schedule: '0 * * * *',
      pending: 'finish',
      maxAgeMs: 5_400_000,
    });
    expect(configuration.volumes[0]?.consistency).to.deep.equal({
      quietMs: 500,
      deadlineMs: 90_000,
      atDeadline: 'skip',
      before: 'fsfreeze -f /x',
      after: 'fsfreeze -u /x',
      notice: 'wall',
      graceMs: 30_000,
    });
    expect(configuration.backups).to.deep.equal([
      {
        name: 'vault',
        publicKey: new Uint8Array(32).fill(1),
        links: [
          {
            type: 'serial',
            device: join(folder, 'line'),
            baudRate: 9600,
            flow: 'none',
            floor: { minBytesPerSecond: 40, overMs: 120_000 },
          },
          {
            type: 'modem',
            device: '/dev/ttyS1',
            baudRate: 115_200,
            dial: '5551234',
            window: { startMinute: 1320, endMinute: 390 },
            costPerMinute: 0.02,
            callsPerDay: 20,
            floor: null,
            init: ['ATZ', 'AT+MS=V34'],
            flow: 'none',
            connectTimeoutMs: 120_000,
          },
          {
            type: 'tcp',
            host: 'vault.example',
            port: 7400,
            floor: { minBytesPerSecond: 2000, overMs: 300_000 },
          },
        ],
      },
    ]);
    expect(configuration.listen).to.deep.equal([
      {
        type: 'modem',
        device: '/dev/ttyS1',
        baudRate: 115_200,
        answerAfter: 1,
        init: ['ATZ'],
        flow: 'rtscts',
      },
    ]);
  });

  it('reads every setting of a backup', async () => {
    const configuration = await load(
      backup(`state: /var/lib/vault
store: ./store
listen: [ { type: tcp, host: 127.0.0.1, port: 7400 } ]
primaries:
  - name: branch-12
    publicKey: ${KEY}
    keep: { last: 10, daily: 7 }
    drill: { command: "e2fsck -fn $DEVICE", schedule: "0 5 * * *" }
    scrub: { schedule: "0 3 * * 0", rate: 20MiB }
    silentAfter: 26h
    poll: { schedule: "0 1 * * *", links: [ { type: modem, device: /dev/ttyS1, baudRate: 115200, dial: "5559876" } ] }
`),
    );
    if (configuration.role !== 'backup') throw new Error('not a backup');
    expect(configuration).to.deep.include({
      state: '/var/lib/vault',
      control: '/var/lib/vault/control.sock',
      store: join(folder, 'store'),
    });
    expect(configuration.primaries[0]).to.deep.include({
      keep: { last: 10, hourly: 0, daily: 7, weekly: 0, monthly: 0 },
      drill: { command: 'e2fsck -fn $DEVICE', schedule: '0 5 * * *' },
      scrub: { schedule: '0 3 * * 0', bytesPerSecond: 20 * 2 ** 20 },
      silentAfterMs: 26 * 3_600_000,
    });
    expect(configuration.primaries[0]?.poll?.links).to.deep.equal([
      {
        type: 'modem',
        device: '/dev/ttyS1',
        baudRate: 115_200,
        dial: '5559876',
        window: null,
        costPerMinute: null,
        callsPerDay: 200,
        floor: null,
        init: null,
        flow: 'rtscts',
        connectTimeoutMs: 90_000,
      },
    ]);
  });

  const faults: readonly {
    readonly what: string;
    readonly text: string;
    readonly says: readonly RegExp[];
  }[] = [
    { what: 'an empty file', text: '', says: [/^farcopy.yaml:1: found nothing, allowed a mapping/] },
    {
      what: 'an unknown role',
      text: 'role: secondary\nname: a\n',
      says: [/^farcopy.yaml:1: role: found "secondary", allowed primary or backup$/],
    },
    {
      what: 'a missing name',
      text: 'role: backup\n',
      says: [/^farcopy.yaml:1: name: found nothing, allowed a name of/],
    },
    {
      what: 'a name that YAML makes a number of',
      text: 'role: backup\nname: 0012\n',
      says: [/^farcopy.yaml:2: name: found 12, allowed .*in quotes if it is a number/],
    },
    {
      what: 'a name that is a path',
      text: 'role: backup\nname: ../vault\n',
      says: [/^farcopy.yaml:2: name: found "..\/vault", allowed a name/],
    },
    {
      what: 'a mistyped key',
      text: backup('stoer: ./store\n'),
      says: [/^farcopy.yaml:3: stoer: found an unknown key, allowed role, .*\(did you mean store\?\)$/],
    },
    {
      what: 'a key of the other role',
      text: backup('volumes: []\n'),
      says: [/^farcopy.yaml:3: volumes: found an unknown key, allowed role, name/],
    },
    {
      what: 'a mistyped key deep inside',
      text: primary('backups:\n  - name: vault\n    publickey: x\n'),
      says: [
        /^farcopy.yaml:7: backups\[0\].publicKey: found nothing, allowed the base64/,
        /^farcopy.yaml:8: backups\[0\].publickey: found an unknown key, .*did you mean publicKey/,
      ],
    },
    {
      what: 'a block size that is not a power of two',
      text: primary('    blockSize: 1000\n'),
      says: [
        /^farcopy.yaml:6: volumes\[0\].blockSize: found 1000, allowed a power of two from 512 to 1048576/,
      ],
    },
    {
      what: 'a block size that is too large',
      text: primary('    blockSize: 2MiB\n'),
      says: [/:6: .*found "2MiB"/],
    },
    {
      what: 'a duration without a unit',
      text: primary('    consistency: { quiet: 2 }\n'),
      says: [/^farcopy.yaml:6: volumes\[0\].consistency.quiet: found 2, allowed a duration with its unit/],
    },
    {
      what: 'a size in an unknown unit',
      text: primary('beforeImages: { budget: 2GB }\n'),
      says: [/:6: .*"2GB"/],
    },
    {
      what: 'an export that others than this machine could reach',
      text: primary('    nbd: tcp://0.0.0.0:10809\n'),
      says: [/^farcopy.yaml:6: volumes\[0\].nbd: found "tcp:\/\/0.0.0.0:10809", allowed .*loopback only/],
    },
    {
      what: 'a cron expression with a field missing',
      text: primary('    schedule: "0 * * *"\n'),
      says: [/^farcopy.yaml:6: volumes\[0\].schedule: found "0 \* \* \*", allowed a cron expression/],
    },
    {
      what: 'a cron expression out of range',
      text: primary('    schedule: "61 * * * *"\n'),
      says: [/^farcopy.yaml:6: volumes\[0\].schedule: found "61/],
    },
    {
      what: 'an unknown deadline policy',
      text: primary('    consistency: { atDeadline: wait }\n'),
      says: [/^farcopy.yaml:6: .*atDeadline: found "wait", allowed crash or skip$/],
    },
    {
      what: 'an unknown rule for what is on its way',
      text: primary('    pending: latest\n'),
      says: [/^farcopy.yaml:6: volumes\[0\].pending: found "latest", allowed finish or newest$/],
    },
    {
      what: 'an age without a unit',
      text: primary('    maxAge: 24\n'),
      says: [/^farcopy.yaml:6: volumes\[0\].maxAge: found 24, allowed a duration with its unit/],
    },
    {
      what: 'an age below nothing',
      text: primary('    maxAge: -1h\n'),
      says: [/^farcopy.yaml:6: volumes\[0\].maxAge: found "-1h", allowed a duration/],
    },
    {
      what: 'a key of the wrong length',
      text: backup('primaries:\n  - { name: a, publicKey: abcd }\n'),
      says: [/^farcopy.yaml:4: primaries\[0\].publicKey: found "abcd", allowed the base64/],
    },
    {
      what: 'the example key that init writes',
      text: backup(`primaries:\n  - { name: a, publicKey: ${Buffer.alloc(32).toString('base64')} }\n`),
      says: [/^farcopy.yaml:4: primaries\[0\].publicKey: found "AAAA/],
    },
    {
      what: 'an unknown kind of link',
      text: backup('listen:\n  - { type: isdn, device: /dev/ttyS0 }\n'),
      says: [/^farcopy.yaml:4: listen\[0\].type: found "isdn", allowed serial or modem or tcp$/],
    },
    {
      what: 'a telephone number without quotes',
      text: primary(
        `backups:\n  - name: v\n    publicKey: ${KEY}\n    links:\n      - { type: modem, device: /dev/a, baudRate: 9600, dial: 0555 }\n`,
      ),
      says: [
        /^farcopy.yaml:10: backups\[0\].links\[0\].dial: found 555, allowed a telephone number in quotes/,
      ],
    },
    {
      what: 'a telephone number that would give the modem another command',
      text: primary(
        `backups:\n  - name: v\n    publicKey: ${KEY}\n    links:\n      - { type: modem, device: /dev/a, baudRate: 9600, dial: "55\\rATZ" }\n`,
      ),
      says: [/^farcopy.yaml:10: .*dial: found "55\\rATZ"/],
    },
    {
      what: 'a modem command that would be two',
      text: backup('listen:\n  - { type: modem, device: /dev/a, baudRate: 9600, init: "ATZ\\rATD5" }\n'),
      says: [/^farcopy.yaml:4: listen\[0\].init: .*allowed a modem command that begins with AT, or a list/],
    },
    {
      what: 'a time window of no length',
      text: primary(
        `backups:\n  - name: v\n    publicKey: ${KEY}\n    links:\n      - { type: modem, device: /dev/a, baudRate: 9600, dial: "1", window: "22:00-22:00" }\n`,
      ),
      says: [/^farcopy.yaml:10: .*window: found "22:00-22:00", allowed two different times of day/],
    },
    {
      what: 'a port number that is none',
      text: backup('listen:\n  - { type: tcp, host: 127.0.0.1, port: 74000 }\n'),
      says: [/^farcopy.yaml:4: listen\[0\].port: found 74000, allowed a port number from 1 to 65535$/],
    },
    {
      what: 'a primary that protects nothing',
      text: 'role: primary\nname: a\nvolumes: []\n',
      says: [/^farcopy.yaml:3: volumes: found an empty list, allowed at least one volume$/],
    },
    {
      what: 'a socket path that is too long',
      text: primary(`    nbd: unix:/${'x'.repeat(107)}\n`),
      says: [
        /^farcopy.yaml:6: volumes\[0\].nbd: found a socket path of 108 bytes .*allowed at most 107 bytes$/,
      ],
    },
    {
      what: 'a control socket path that is too long',
      text: backup(`control: /${'ü'.repeat(54)}\n`),
      says: [/^farcopy.yaml:3: control: found a socket path of 109 bytes/],
    },
    {
      what: 'an export on the control socket',
      text: primary('    nbd: unix:./c.sock\ncontrol: ./c.sock\n'),
      says: [/^farcopy.yaml:6: volumes\[0\].nbd: .*another socket than the control socket$/],
    },
    {
      what: 'two volumes of one name',
      text: primary('  - { name: ledger, device: ./other.img }\n'),
      says: [
        /^farcopy.yaml:6: volumes\[1\].name: found ledger, which volumes\[0\] has too, allowed a different name/,
      ],
    },
    {
      what: 'two volumes on one device',
      text: primary('  - { name: b, device: ././x/../ledger.img }\n'),
      says: [/^farcopy.yaml:6: volumes\[1\].device: found .*\/?ledger.img, which volumes\[0\] has too/],
    },
    {
      what: 'two primaries with one key',
      text: backup(`primaries:\n  - { name: a, publicKey: ${KEY} }\n  - { name: b, publicKey: ${KEY} }\n`),
      says: [/^farcopy.yaml:5: primaries\[1\].publicKey: found .*which primaries\[0\] has too/],
    },
    {
      what: 'the state folder in the volume itself',
      text: primary('state: ./ledger.img/state\n'),
      says: [/^farcopy.yaml:6: state: found a path in the device of volume ledger, allowed a folder/],
    },
    {
      what: 'one folder as state and store',
      text: backup('state: ./store\n'),
      says: [/^farcopy.yaml:1: store: .*allowed another folder than state$/],
    },
    {
      what: 'one port twice',
      text: backup(
        'listen:\n  - { type: serial, device: /dev/a, baudRate: 300 }\n  - { type: serial, device: /dev/a, baudRate: 300 }\n',
      ),
      says: [/^farcopy.yaml:5: listen\[1\]: found \/dev\/a a second time, allowed each port once$/],
    },
    {
      what: 'one line called at another speed than it is listened on',
      text: primary(
        `listen: [ { type: serial, device: /dev/a, baudRate: 300 } ]\nbackups:\n  - name: v\n    publicKey: ${OTHER_KEY}\n    links:\n      - { type: serial, device: /dev/a, baudRate: 9600 }\n`,
      ),
      says: [
        /^farcopy.yaml:11: backups\[0\].links\[0\]: found \/dev\/a as serial at 9600 baud, allowed the same/,
      ],
    },
    {
      what: 'a retention that keeps nothing',
      text: backup(`primaries:\n  - { name: a, publicKey: ${KEY}, keep: { last: 0 } }\n`),
      says: [/^farcopy.yaml:4: primaries\[0\].keep: found no points to keep/],
    },
    {
      what: 'a poll without links',
      text: backup(
        `primaries:\n  - { name: a, publicKey: ${KEY}, poll: { schedule: "0 1 * * *", links: [] } }\n`,
      ),
      says: [/^farcopy.yaml:4: primaries\[0\].poll.links: found an empty list, allowed at least one link$/],
    },
    {
      what: 'a key given twice',
      text: 'role: backup\nname: a\nname: b\n',
      says: [/^farcopy.yaml:3: found a YAML error \(Map keys must be unique\)/],
    },
    { what: 'a text that is no YAML', text: 'role: [\n', says: [/^farcopy.yaml:2: found a YAML error/] },
  ];
  for (const { what, text, says } of faults) {
    it(`refuses ${what}, with line, key, found and allowed`, async () => {
      const lines = await refusals(text);
      expect(lines).to.have.length(says.length);
      says.forEach((pattern, index) => expect(lines[index]).to.match(pattern));
    });
  }

  for (const role of ['primary', 'backup'] as const) {
    it(`takes the example with every setting of a ${role}`, async () => {
      const fixtures = join(dirname(fileURLToPath(import.meta.url)), '../../../../fixtures/configs');
      expect((await loadConfiguration(join(fixtures, `${role}.yaml`), nodeFiles)).role).to.equal(role);
    });
  }

  it('tells every fault of a file at once, in the order of its lines', async () => {
    const lines = await refusals(primary('    blockSize: 5\nlisten: 3\nstaet: x\n'));
    expect(lines.map((line) => Number(line.split(':')[1]))).to.deep.equal([6, 7, 8]);
  });

  it('knows one device under two names', async () => {
    await writeFile(join(folder, 'ledger.img'), '');
    await symlink('ledger.img', join(folder, 'alias.img'));
    const lines = await refusals(primary('  - { name: b, device: alias.img }\n'));
    expect(lines).to.have.length(1);
    expect(lines[0]).to.match(
      /^farcopy.yaml:6: volumes\[1\].device: .*device of volumes\[0\] under another name/,
    );
  });

  it('says that a file is not there, and what to do', async () => {
    const error = await loadConfiguration(join(folder, 'none.yaml'), nodeFiles).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(ConfigError);
    expect((error as ConfigError).code).to.equal('unreadable');
    expect((error as ConfigError).hint).to.match(/farcopy init/);
  });

  it('says that a folder is no configuration', async () => {
    await mkdir(join(folder, 'sub'));
    const error = await loadConfiguration(join(folder, 'sub'), nodeFiles).catch((e: unknown) => e);
    expect((error as ConfigError).code).to.equal('unreadable');
  });
});
