import { expect } from 'chai';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Grade } from '../../protocol/state.js';
import type { SnapshotResult } from '../../src/control/appliance-control.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { checkExt4, LoopedExport, makeExt4, Mount } from '../support/ext4.js';
import { farcopyJson } from '../support/farcopy.js';
import { must } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest, type Sandbox } from '../support/sandbox.js';
import { Seeded, seedOfThisRun } from '../support/seeded.js';

const ACCOUNTS = 50;
const OPENING_BALANCE = 1000;
/** Between two transactions. */
const PAUSE_MS = 5;
const SNAPSHOTS = process.env['FARCOPY_SOAK'] === '1' ? 50 : 5;

const SCHEMA = `
  PRAGMA journal_mode = DELETE;
  CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, note TEXT);
  CREATE TABLE transfer (id INTEGER PRIMARY KEY, giver INTEGER, taker INTEGER, amount INTEGER, note TEXT);
  CREATE INDEX by_giver ON transfer (giver, amount);
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${ACCOUNTS})
    INSERT INTO account SELECT i, ${OPENING_BALANCE}, hex(randomblob(40)) FROM n;`;

/** Every account is what the transfers have made of it. */
const BOOKS = `
  SELECT count(*) FROM account
  WHERE balance <> ${OPENING_BALANCE}
    + (SELECT coalesce(sum(amount), 0) FROM transfer WHERE taker = account.id)
    - (SELECT coalesce(sum(amount), 0) FROM transfer WHERE giver = account.id);`;

/** One sqlite3 process that answers each piece of SQL before it gets the next. */
class Sqlite {
  readonly #child: ChildProcessWithoutNullStreams;
  #said = '';
  #heard: (() => void) | null = null;
  #ended = false;

  constructor(sandbox: Sandbox, database: string) {
    this.#child = spawn('sqlite3', ['-batch', '-bail', database]);
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
      this.#heard?.();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#said += `error: ${text}`));
    this.#child.on('close', () => {
      this.#ended = true;
      this.#heard?.();
    });
    sandbox.defer(
      'sqlite3',
      () => this.close(),
      () => this.#child.kill('SIGKILL'),
    );
    this.#child.stdin.write('.timeout 60000\n');
  }

  async execute(sql: string): Promise<void> {
    this.#child.stdin.write(`${sql}\nSELECT 'it is done';\n`);
    while (!this.#said.includes('it is done')) {
      if (this.#ended) throw new Error(`sqlite3 has ended: ${this.#said}`);
      await new Promise<void>((resolve) => (this.#heard = resolve));
    }
    this.#said = '';
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.stdin.end('.quit\n');
    await gone;
  }
}

/** Moves money about without pause; counts the transactions. */
function keepTrading(sqlite: Sqlite, random: Seeded): { count: () => number; stop: () => Promise<void> } {
  const told = new AbortController();
  let transactions = 0;
  const work = (async () => {
    while (!told.signal.aborted) {
      // Losing the order of its writes on the way shows as a broken database at once.
      let sql = `PRAGMA synchronous = OFF; BEGIN IMMEDIATE;`;
      for (let i = 0; i <= random.below(6); i++) {
        const [giver, taker, amount] = [
          1 + random.below(ACCOUNTS),
          1 + random.below(ACCOUNTS),
          random.below(90),
        ];
        sql += `
          UPDATE account SET balance = balance - ${amount} WHERE id = ${giver};
          INSERT INTO transfer (giver, taker, amount, note)
            VALUES (${giver}, ${taker}, ${amount}, hex(randomblob(${random.below(400)})));
          UPDATE account SET balance = balance + ${amount}, note = hex(randomblob(40)) WHERE id = ${taker};`;
      }
      await sqlite.execute(`${sql} COMMIT;`);
      transactions++;
      // Else the volume is full before the test is over.
      await pause(PAUSE_MS);
    }
  })();
  work.catch(() => told.abort());
  return {
    count: () => transactions,
    stop: () => {
      told.abort();
      return work;
    },
  };
}

describe('SQLite under constant transactions on an ext4 that farcopy copies', function () {
  this.timeout(process.env['FARCOPY_SOAK'] === '1' ? 1_200_000 : 180_000);
  const sandbox = sandboxPerTest();

  it('each snapshot, by a pair of hooks or in a held transaction, restores to books that balance', async function () {
    requires(this, {
      programs: ['socat', 'sqlite3', 'nbdfuse', 'losetup', 'mkfs.ext4', 'fsfreeze', 'e2fsck'],
      root: true,
    });
    const seed = seedOfThisRun();
    console.log(`      SEED=${seed}`);
    const random = new Seeded(seed);
    const folder = sandbox().path('mnt');
    const pair = await AppliancePair.start(sandbox(), {
      sizeBytes: 64 << 20,
      line: 'tcp',
      volumeSettings: [
        `consistency: { deadline: 20s, before: "fsfreeze --freeze ${folder}", after: "fsfreeze --unfreeze ${folder}" }`,
      ],
    });
    const exported = await LoopedExport.attach(sandbox(), 'live', pair.nbdSocket, pair.volume);
    await makeExt4(exported.device);
    const live = await Mount.mount(sandbox(), 'mnt', exported.device);
    const database = `${live.folder}/books.db`;
    await must('sqlite3', [database, SCHEMA]);
    await pair.sync();

    const trading = keepTrading(new Sqlite(sandbox(), database), new Seeded(seed + 1));
    const holder = new Sqlite(sandbox(), database);
    const wanted: { readonly state: string; readonly grade: Grade }[] = [];
    const counts: number[] = [];
    for (let i = 0; i < SNAPSHOTS; i++) {
      const before = trading.count();
      await pause(100 + random.below(400));
      if (i % 2 === 0) {
        const { state, grade } = await pair.sync();
        wanted.push({ state, grade });
      } else {
        await holder.execute('BEGIN IMMEDIATE;');
        await live.sync();
        const { state, grade } = await farcopyJson<SnapshotResult>([
          'snapshot',
          pair.volume,
          '--note',
          `books ${i}`,
          '--config',
          pair.primaryHome.config,
        ]);
        await holder.execute('ROLLBACK;');
        wanted.push({ state, grade });
        await pair.applied(state);
      }
      counts.push(trading.count() - before);
    }
    await trading.stop();
    console.log(`      transactions between snapshots: ${counts.join(', ')}`);
    expect(Math.min(...counts), 'transactions between two snapshots').to.be.greaterThan(0);

    const points = await pair.points();
    expect(wanted.map(({ grade }) => grade)).to.deep.equal(wanted.map(() => 'application'));
    expect(points.slice(0, -1).map(({ id, grade }) => ({ state: id, grade }))).to.deep.equal(
      wanted.toReversed(),
    );
    let last = -1;
    for (const [i, { state }] of wanted.entries()) {
      const image = await pair.restore(`restored-${i}`, state);
      if (i % 2 === 0) {
        const checked = await checkExt4(image);
        expect(checked.clean, `frozen: ${checked.report}`).to.equal(true);
      }
      const mount = await Mount.mount(sandbox(), `at-${i}`, image);
      const query = async (sql: string): Promise<string> =>
        (await must('sqlite3', [`${mount.folder}/books.db`, sql])).trim();
      expect(await query('PRAGMA integrity_check;'), `snapshot ${i}`).to.equal('ok');
      expect(await query(BOOKS), `accounts that do not balance in snapshot ${i}`).to.equal('0');
      const total = await query('SELECT sum(balance) FROM account;');
      expect(total, `all money in snapshot ${i}`).to.equal(`${ACCOUNTS * OPENING_BALANCE}`);
      const transfers = Number(await query('SELECT count(*) FROM transfer;'));
      expect(transfers, `transfers in snapshot ${i}`).to.be.greaterThan(last);
      last = transfers;
      await mount.unmount();
      await rm(image);
    }
    await holder.close();
  });
});
