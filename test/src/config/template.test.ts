import { expect } from 'chai';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ConfigError } from '../../../src/config/config-error.js';
import { loadConfiguration } from '../../../src/config/load.js';
import { configurationTemplate } from '../../../src/config/template.js';
import { nodeFiles } from '../../../src/platform/node-files.js';

const ZERO_KEY = Buffer.alloc(32).toString('base64');

describe('the farcopy.yaml that init writes', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'farcopy-template-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function load(text: string) {
    const file = join(folder, 'farcopy.yaml');
    await writeFile(file, text);
    return loadConfiguration(file, nodeFiles);
  }

  /** Removes the "#" of every line that is a setting, and the empty lists that those settings stand in for. */
  const withAllSettings = (text: string): string =>
    text
      .split('\n')
      .map((line) => (/^#(?! \S)./.test(line) ? line.slice(1) : line))
      .map((line) => line.replace(/^(\w+): \[\]$/, '$1:'))
      .join('\n')
      .replace(ZERO_KEY, Buffer.alloc(32, 7).toString('base64'));

  it('is a backup that is ready to listen', async () => {
    const configuration = await load(configurationTemplate('backup', 'vault'));
    expect(configuration).to.deep.include({ role: 'backup', name: 'vault', listen: [], primaries: [] });
  });

  it('is a primary that lacks nothing but a volume', async () => {
    const error = await load(configurationTemplate('primary', '007')).catch((e: unknown) => e);
    expect(error).to.be.instanceOf(ConfigError);
    expect((error as ConfigError).problems.map(({ key }) => key)).to.deep.equal(['volumes']);
  });

  for (const role of ['primary', 'backup'] as const) {
    it(`is valid with every commented setting of a ${role} in force`, async () => {
      const text = withAllSettings(configurationTemplate(role, 'a-name'));
      const configuration = await load(text);
      expect(configuration.role).to.equal(role);
      const keys = Object.keys(parse(text) as object);
      const lists = role === 'primary' ? ['volumes', 'backups', 'listen'] : ['primaries', 'listen'];
      expect(keys).to.include.members(lists);
      for (const list of lists) {
        expect(configuration, list).to.have.property(list).that.has.length.greaterThan(0);
      }
    });
  }
});
