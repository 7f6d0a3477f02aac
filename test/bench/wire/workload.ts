import type { Sandbox } from '../../support/sandbox.js';
import type { Seeded } from '../../support/seeded.js';
import { Stage, type Mounting } from './stage.js';

/** What is varied between runs; an encoder must not know any of it. */
export interface Variation {
  readonly seed: number;
  /** Of the volume and of its file system. */
  readonly blockSize: number;
  /** Of SQLite's databases. */
  readonly pageSize: number;
  /** `full` is what the published table is about; `small` takes seconds. */
  readonly size: 'full' | 'small';
  readonly mounting: Mounting;
}

/** What a workload's images are made with. */
export interface Making extends Variation {
  readonly sandbox: Sandbox;
  readonly seeded: Seeded;
  /** Where to leave the image before and after. */
  readonly before: string;
  readonly after: string;
}

export interface Workload {
  readonly name: string;
  readonly title: string;
  readonly needs: readonly string[];
  /** Needs the kernel's ext4. */
  readonly needsRoot?: boolean;
  /** Between before and after, random data were written over all of the image. */
  readonly overwritten?: boolean;
  make(making: Making): Promise<void>;
}

const MIB = 1 << 20;

/** The image's size: 256 MiB, or 64; some workloads do not fit into the small one. */
export const imageBytes = ({ size }: Variation, smallest = 64 * MIB): number =>
  size === 'full' ? 256 * MIB : smallest;

/** A fresh ext4 image, mounted. */
export const makeStage = (making: Making, sizeBytes = imageBytes(making)): Promise<Stage> =>
  Stage.create(making.sandbox, 'stage', { ...making, sizeBytes });
