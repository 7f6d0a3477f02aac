import { ApplianceError } from '../appliance/errors.js';
import type { Configuration } from '../config/configuration.js';
import { ControlClient } from '../control/client.js';

/** Runs `work` with the appliance of this configuration; fails with `ApplianceError` `stopped` if none is running. */
export async function withAppliance<T>(
  configuration: Configuration,
  work: (appliance: ControlClient) => Promise<T>,
): Promise<T> {
  const client = await ControlClient.connect(configuration.control);
  if (client === null) throw notRunning(configuration);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

export function notRunning({ role, file }: Configuration): ApplianceError {
  return new ApplianceError(
    'stopped',
    'no appliance is running for this configuration',
    `start it with \`farcopy ${role}\` (configuration: ${file})`,
  );
}
