import { Command } from 'commander';
import { join, resolve } from 'node:path';
import { ConfigError } from '../../config/config-error.js';
import type { Configuration } from '../../config/configuration.js';
import { hasKeyPair, keyText, loadKeyPair, makeKeyPair } from '../../config/keys.js';
import { configurationTemplate } from '../../config/template.js';
import type { CommandContext } from '../context.js';
import { UsageError } from '../exit-code.js';

interface InitOptions {
  readonly dir: string;
  readonly name?: string;
  readonly json?: true;
}

/** `farcopy init primary|backup`: a commented configuration and a key pair. */
export function initCommand(context: CommandContext): Command {
  return new Command('init')
    .description('write a commented farcopy.yaml and a key pair, print the public key')
    .argument('<role>', 'primary or backup')
    .option('--dir <dir>', 'folder to write to, made if absent', '.')
    .option('--name <name>', 'name of this appliance (default: the name of this machine)')
    .option('--json', 'print {"config", "publicKey"}')
    .action(async (role: string, options: InitOptions) => {
      if (role !== 'primary' && role !== 'backup') {
        throw new UsageError(`found "${role}", allowed primary or backup`, 'such as `farcopy init primary`');
      }
      const { config, publicKey } = await initialise(role, options, context);
      if (options.json === true) {
        context.stdout.write(`${JSON.stringify({ config, publicKey })}\n`);
        return;
      }
      const other = role === 'primary' ? 'backup' : 'primary';
      context.stdout.write(
        `wrote ${config}; read it through, its comments say what can be set.\n` +
          `The ${other}'s configuration needs the name and this public key:\n${publicKey}\n`,
      );
    });
}

async function initialise(
  role: Configuration['role'],
  options: InitOptions,
  { files, random, hostName }: CommandContext,
): Promise<{ readonly config: string; readonly publicKey: string }> {
  const folder = resolve(options.dir);
  const config = join(folder, 'farcopy.yaml');
  const name =
    options.name ??
    (hostName
      .replace(/[^A-Za-z0-9-]+/g, '-')
      .replace(/^-+/, '')
      .slice(0, 63) ||
      role);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name)) {
    throw new UsageError(`found the name "${name}", allowed up to 63 letters, digits, ".", "_" and "-"`);
  }
  if (await files.exists(config)) {
    throw new ConfigError('exists', `${config} is there already`, [], 'choose another folder with --dir DIR');
  }
  await files.makeFolder(folder);
  const state = join(folder, 'state');
  // The configuration comes last, so that an init that was interrupted can be run again: it takes the key it left.
  const keys = (await hasKeyPair(state, files))
    ? await loadKeyPair(state, files)
    : await makeKeyPair(state, files, random);
  await files.replace(config, new TextEncoder().encode(configurationTemplate(role, name)), 0o644);
  return { config, publicKey: keyText(keys.publicKey) };
}
