import { expect } from 'chai';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ConfigError } from '../../../src/config/config-error.js';
import { loadKeyPair, makeKeyPair } from '../../../src/config/keys.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { systemRandom } from '../../../src/platform/random.js';

describe('the key pair', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'farcopy-keys-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is the one of RFC 7748 for its secret', async () => {
    const alice = Buffer.from('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a', 'hex');
    const { publicKey } = await makeKeyPair(folder, nodeFiles, { bytes: () => alice });
    expect(Buffer.from(publicKey).toString('hex')).to.equal(
      '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
    );
  });

  it('is read back as it was made, and its secret is for the owner alone', async () => {
    const made = await makeKeyPair(join(folder, 'state'), nodeFiles, systemRandom);
    expect(await loadKeyPair(join(folder, 'state'), nodeFiles)).to.deep.equal(made);
    expect((await stat(join(folder, 'state/secret.key'))).mode & 0o777).to.equal(0o600);
    expect((await readFile(join(folder, 'state/public.key'), 'utf8')).trim()).to.equal(
      Buffer.from(made.publicKey).toString('base64'),
    );
  });

  it('is never replaced', async () => {
    const made = await makeKeyPair(folder, nodeFiles, systemRandom);
    const again = await makeKeyPair(folder, nodeFiles, systemRandom).catch((e: unknown) => e);
    expect((again as ConfigError).code).to.equal('exists');
    expect(await loadKeyPair(folder, nodeFiles)).to.deep.equal(made);
  });

  it('is refused when it is missing or damaged, without showing it', async () => {
    const missing = await loadKeyPair(folder, nodeFiles).catch((e: unknown) => e);
    expect((missing as ConfigError).code).to.equal('unreadable');
    await writeFile(join(folder, 'secret.key'), 'c2VjcmV0\n');
    const damaged = await loadKeyPair(folder, nodeFiles).catch((e: unknown) => e);
    expect((damaged as ConfigError).code).to.equal('unreadable');
    expect((damaged as ConfigError).message).not.to.include('c2VjcmV0');
  });
});
