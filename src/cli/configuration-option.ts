import type { Command } from 'commander';
import type { BackupConfiguration, Configuration, PrimaryConfiguration } from '../config/configuration.js';
import { loadConfiguration } from '../config/load.js';
import type { CommandContext } from './context.js';
import { UsageError } from './exit-code.js';

/** Reads the configuration that `--config` names. */
export function configurationOf(command: Command, context: CommandContext): Promise<Configuration> {
  return loadConfiguration(fileOf(command), context.files);
}

export async function primaryConfigurationOf(
  command: Command,
  context: CommandContext,
): Promise<PrimaryConfiguration> {
  const configuration = await configurationOf(command, context);
  if (configuration.role === 'primary') return configuration;
  throw wrongRole(command, configuration.role);
}

export async function backupConfigurationOf(
  command: Command,
  context: CommandContext,
): Promise<BackupConfiguration> {
  const configuration = await configurationOf(command, context);
  if (configuration.role === 'backup') return configuration;
  throw wrongRole(command, configuration.role);
}

function fileOf(command: Command): string {
  return command.optsWithGlobals<{ config: string }>().config;
}

function wrongRole(command: Command, found: Configuration['role']): UsageError {
  return new UsageError(
    `\`farcopy ${nameOf(command)}\` does not go with the role ${found} in ${fileOf(command)}`,
    'name the configuration of the other side with --config FILE',
  );
}

/** As it is typed, such as `seed export`. */
function nameOf(command: Command): string {
  const { parent } = command;
  return parent?.parent == null ? command.name() : `${nameOf(parent)} ${command.name()}`;
}
