import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Seeded } from '../../../support/seeded.js';
import { Prose } from '../prose.js';
import { makeStage, type Making, type Workload } from '../workload.js';

/** SQLite's own program, fed line by line; what was fed is done when its echo has come back. */
class SqliteShell {
  readonly #child: ChildProcessWithoutNullStreams;
  #output = '';
  #heard: () => void = () => undefined;
  #echo = 0;

  constructor(database: string) {
    this.#child = spawn('sqlite3', ['-bail', '-batch', database]);
    const hear = (text: string): void => {
      this.#output += text;
      this.#heard();
    };
    this.#child.stdout.setEncoding('utf8').on('data', hear);
    this.#child.stderr.setEncoding('utf8').on('data', hear);
    this.#child.on('close', () => this.#heard());
    this.#child.stdin.on('error', () => this.#heard());
  }

  /** Statements, each with its semicolon. */
  async run(statements: string): Promise<void> {
    const echo = `done ${++this.#echo}`;
    this.#output = '';
    this.#child.stdin.write(`${statements}\n.print ${echo}\n`);
    while (!this.#output.includes(echo)) {
      if (this.#child.exitCode !== null) throw new Error(`sqlite3 has ended: ${this.#output}`);
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, 'close');
  }
}

const BATCH = 5000;

/** A bank's database: accounts with an index, tellers, branches, a history that grows. 60 MB, or 8. */
async function makeBank(shell: SqliteShell, making: Making, megabytes: number): Promise<number> {
  const { seeded, pageSize } = making;
  const prose = new Prose(seeded);
  const accounts = Math.floor((megabytes * 1_000_000) / 160);
  await shell.run(`
    PRAGMA page_size=${pageSize};
    CREATE TABLE branches(id INTEGER PRIMARY KEY, name TEXT, balance INTEGER);
    CREATE TABLE tellers(id INTEGER PRIMARY KEY, branch INTEGER, name TEXT, balance INTEGER);
    CREATE TABLE accounts(id INTEGER PRIMARY KEY, branch INTEGER, owner TEXT, address TEXT, note TEXT, balance INTEGER);
    CREATE INDEX accounts_by_owner ON accounts(owner);
    CREATE TABLE history(id INTEGER PRIMARY KEY, account INTEGER, teller INTEGER, amount INTEGER, at TEXT, note TEXT);`);
  const insert = async (
    table: string,
    rows: number,
    row: (id: number) => readonly (string | number)[],
  ): Promise<void> => {
    for (let from = 0; from < rows; from += BATCH) {
      const values = Array.from({ length: Math.min(BATCH, rows - from) }, (_, i) =>
        row(from + i + 1).map((value) => (typeof value === 'string' ? `'${value}'` : value)),
      );
      await shell.run(
        `BEGIN; INSERT INTO ${table} VALUES ${values.map((each) => `(${each.join()})`).join()}; COMMIT;`,
      );
    }
  };
  await insert('branches', 20, (id) => [id, prose.words(2), 0]);
  await insert('tellers', 200, (id) => [id, 1 + (id % 20), prose.words(2), 0]);
  await insert('accounts', accounts, (id) => [
    ...[id, 1 + seeded.below(20), prose.words(2), `${seeded.below(400)} ${prose.words(3)}`],
    ...[prose.words(seeded.below(12)), seeded.below(1_000_000)],
  ]);
  return accounts;
}

/** Debit and credit, as TPC-B has it: account, teller, branch, and a line in the history; one commit each. */
const debitCredit = (seeded: Seeded, accounts: number, at: number): string => {
  const [account, teller] = [1 + seeded.below(accounts), 1 + seeded.below(200)];
  const amount = seeded.below(10_000) - 5000;
  const time = new Date(1_700_000_000_000 + at * 1000).toISOString();
  return `BEGIN;
    UPDATE accounts SET balance = balance + ${amount} WHERE id = ${account};
    UPDATE tellers SET balance = balance + ${amount} WHERE id = ${teller};
    UPDATE branches SET balance = balance + ${amount} WHERE id = ${1 + (teller % 20)};
    INSERT INTO history(account, teller, amount, at, note) VALUES (${account}, ${teller}, ${amount}, '${time}', 'transfer ${seeded.word()}');
    COMMIT;`;
};

async function transactions(making: Making, journal: 'WAL' | 'DELETE'): Promise<void> {
  const { seeded, size } = making;
  const stage = await makeStage(making);
  const shell = new SqliteShell(join(stage.folder, 'bank.db'));
  const accounts = await makeBank(shell, making, size === 'full' ? 60 : 8);
  await shell.run(
    `PRAGMA journal_mode=${journal}; PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE);`,
  );
  for (let i = 0; i < 50; i++) await shell.run(debitCredit(seeded, accounts, i));
  await stage.capture(making.before);
  for (let i = 0; i < (size === 'full' ? 500 : 100); i++) {
    await shell.run(debitCredit(seeded, accounts, 100 + i));
  }
  await stage.capture(making.after);
  await shell.close();
  await stage.unmount();
}

async function fiveRecords(making: Making): Promise<void> {
  const { seeded, size } = making;
  const stage = await makeStage(making);
  const shell = new SqliteShell(join(stage.folder, 'bank.db'));
  const accounts = await makeBank(shell, making, size === 'full' ? 160 : 12);
  await stage.capture(making.before);
  const changes = Array.from({ length: 5 }, () => {
    const account = 1 + seeded.below(accounts);
    return `UPDATE accounts SET balance = ${seeded.below(1_000_000)} WHERE id = ${account};`;
  });
  await shell.run(`PRAGMA synchronous=FULL; BEGIN; ${changes.join(' ')} COMMIT;`);
  await stage.capture(making.after);
  await shell.close();
  await stage.unmount();
}

/** A third of the accounts has gone, here and there, before the VACUUM. */
async function vacuum(making: Making, trims: boolean): Promise<void> {
  const { seeded, size } = making;
  const stage = await makeStage(making);
  const shell = new SqliteShell(join(stage.folder, 'bank.db'));
  const accounts = await makeBank(shell, making, size === 'full' ? 60 : 8);
  const gone = Array.from({ length: Math.floor(accounts / 3) }, () => 1 + seeded.below(accounts));
  for (let from = 0; from < gone.length; from += BATCH) {
    await shell.run(`DELETE FROM accounts WHERE id IN (${gone.slice(from, from + BATCH).join()});`);
  }
  if (trims) await stage.trim();
  await stage.capture(making.before);
  await shell.run('VACUUM;');
  if (trims) await stage.trim();
  await stage.capture(making.after);
  await shell.close();
  await stage.unmount();
}

const needs = ['mkfs.ext4', 'sqlite3'];

export const sqliteWorkloads: readonly Workload[] = [
  {
    name: 'sqlite-wal',
    title: 'SQLite, WAL, 500 debit-credit transactions, 60 MB',
    needs,
    make: (making) => transactions(making, 'WAL'),
  },
  {
    name: 'sqlite-rollback',
    title: 'the same with a rollback journal',
    needs,
    make: (making) => transactions(making, 'DELETE'),
  },
  { name: 'five-records', title: 'five records of a large database', needs, make: fiveRecords },
  { name: 'vacuum', title: 'VACUUM of the 60 MB database', needs, make: (making) => vacuum(making, false) },
  {
    name: 'vacuum-trim',
    title: 'VACUUM, then fstrim',
    needs: [...needs, 'fstrim'],
    needsRoot: true,
    make: (making) => vacuum(making, true),
  },
];
