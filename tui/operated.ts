import type { ApplianceControl, OperationOptions } from '../src/control/appliance-control.js';

/** What the UI asks of an appliance. An appliance that lacks one of the optional ones is shown as unable to do it. */
export interface Operated extends Pick<ApplianceControl, 'status' | 'sync' | 'snapshot' | 'points'> {
  /** Stops the transfers of a volume until `resume`. */
  readonly pause?: (request: { readonly volume: string }) => Promise<unknown>;
  readonly resume?: (request: { readonly volume: string }) => Promise<unknown>;
  /** Ends the call on a link. */
  readonly hangUp?: (request: { readonly link: string }) => Promise<unknown>;
  /** Compares a volume with its far copy; what differs is sent. */
  readonly compare?: (
    request: { readonly volume: string; readonly to?: string },
    options: OperationOptions,
  ) => Promise<{ readonly equal: boolean; readonly differing: number }>;
}
