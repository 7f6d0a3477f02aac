import { z } from 'zod';
import { GRADES, type StateInfo } from './state.js';
import { byteCount, groupId, stateId, wallTime } from './units.js';

/** An id as it stands in JSON; `make` throws for what is none. */
export const idInJson = <Id>(make: (value: string) => Id): z.ZodType<Id> =>
  z.string().transform((value, context): Id => {
    try {
      return make(value);
    } catch {
      context.addIssue('not an id');
      return z.NEVER;
    }
  });

export const countInJson = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);

/** A state as it stands in JSON: in the records of engine and store, and in the head of a seed. */
export const stateInJson: z.ZodType<StateInfo> = z
  .object({
    id: idInJson(stateId),
    parent: idInJson(stateId).nullable(),
    ordinal: countInJson,
    time: countInJson.transform(wallTime),
    grade: z.enum(GRADES),
    size: countInJson.transform(byteCount),
    note: z.string().exactOptional(),
    group: idInJson(groupId).exactOptional(),
  })
  .readonly();
