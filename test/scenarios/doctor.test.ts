import { expect } from 'chai';
import { chmod, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Finding } from '../../src/doctor/finding.js';
import { AppliancePair } from '../support/appliance-pair.js';
import { farcopy, type ApplianceHome } from '../support/farcopy.js';
import { PtyPair } from '../support/pty-pair.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest, type Sandbox } from '../support/sandbox.js';

/** `farcopy doctor --json …`: its exit code and findings. */
async function doctor(
  home: ApplianceHome,
  ...args: readonly string[]
): Promise<{ readonly code: number | null; readonly findings: readonly Finding[] }> {
  const { code, stdout } = await farcopy(['doctor', '--json', '--config', home.config, ...args]);
  return { code, findings: JSON.parse(stdout) as Finding[] };
}

/** A running pair, and the line between it. */
async function pairOnPtys(
  sandbox: Sandbox,
): Promise<{ readonly pair: AppliancePair; readonly line: PtyPair }> {
  const line = await PtyPair.open(sandbox);
  const serial = (device: string): string => `{ type: serial, device: ${device}, baudRate: 2000000 }`;
  const pair = await AppliancePair.start(sandbox, {
    sizeBytes: 1 << 20,
    line: { line, left: serial(line.left), right: serial(line.right) },
  });
  return { pair, line };
}

const troubles = (findings: readonly Finding[]): readonly string[] =>
  findings.filter(({ level }) => level === 'error').map(({ subject, text }) => `${subject}: ${text}`);

describe('farcopy doctor', function () {
  this.timeout(90_000);
  const sandbox = sandboxPerTest();

  it('finds a pair well while it runs and while it does not, and names what was broken', async function () {
    requires(this, { programs: ['socat'] });
    const { pair, line } = await pairOnPtys(sandbox());
    for (const home of [pair.primary.home, pair.backup.home]) {
      const { code, findings } = await doctor(home);
      expect(troubles(findings)).to.deep.equal([]);
      expect(code).to.equal(0);
    }
    await pair.primary.stop();
    const { home } = pair.primary;
    expect((await doctor(home)).code).to.equal(0);

    await chmod(join(home.folder, 'state', 'secret.key'), 0o644);
    await rm(pair.device);
    await line.cut();
    const { code, findings } = await doctor(home);
    expect(code).to.equal(1);
    const found = troubles(findings);
    expect(found).to.have.lengthOf(3);
    expect(found[0]).to.match(/^keys: the secret key can be read by others/);
    expect(found[1]).to.match(/^volume ledger: .* does not exist$/);
    expect(found[2]).to.match(/^serial .*: cannot be opened: No such file or directory$/);
    expect(findings.filter(({ level, hint }) => level === 'error' && hint === undefined)).to.deep.equal([]);
  });

  it('tries a line from both ends, and names the bytes that do not come through', async function () {
    requires(this, { programs: ['socat'] });
    const { pair, line } = await pairOnPtys(sandbox());
    const { home: left } = pair.primary;
    const { home: right } = pair.backup;
    const busy = await farcopy(['doctor', '--config', left.config, '--line', line.left]);
    expect([busy.code, busy.stderr]).to.deep.equal([
      1,
      'farcopy: the appliance is running and has the line\nhint: stop it for the test, at both ends\n',
    ]);
    await pair.primary.stop();
    await pair.backup.stop();

    const both = (): Promise<readonly Awaited<ReturnType<typeof doctor>>[]> =>
      Promise.all([doctor(left, '--line', line.left), doctor(right, '--line', line.right)]);
    for (const { code, findings } of await both()) {
      expect(findings.map(({ text }) => text)).to.deep.equal(['all 256 byte values come through']);
      expect(code).to.equal(0);
    }
    line.bend = (bytes) => Buffer.from(bytes.filter((byte) => byte !== 0x11 && byte !== 0x13));
    for (const { code, findings } of await both()) {
      expect(troubles(findings)[0]).to.match(/: 2 byte values do not come through: 0x11, 0x13$/);
      expect(code).to.equal(1);
    }
  });
});
