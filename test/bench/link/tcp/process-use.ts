/** What a process has used from one moment to another. */
export interface ProcessUse {
  /** Resident memory, MiB, twenty times a second. */
  readonly memory: readonly number[];
  /** Processor time of all its threads, and the time that has passed, seconds. */
  readonly processorSeconds: number;
  readonly seconds: number;
}

/** Watches this process until `end`. */
export class ProcessWatch {
  readonly #memory: number[] = [];
  readonly #began = performance.now();
  readonly #usage = process.cpuUsage();
  readonly #timer = setInterval(() => this.#look(), 50);

  end(): ProcessUse {
    clearInterval(this.#timer);
    this.#look();
    const { user, system } = process.cpuUsage(this.#usage);
    return {
      memory: this.#memory,
      processorSeconds: (user + system) / 1e6,
      seconds: (performance.now() - this.#began) / 1000,
    };
  }

  #look(): void {
    this.#memory.push(Math.round(process.memoryUsage.rss() / 2 ** 20));
  }
}

/** The most memory in the first and in the second half of the time. */
export function peaks({ memory }: ProcessUse): { readonly first: number; readonly second: number } {
  const half = Math.ceil(memory.length / 2);
  return { first: Math.max(...memory.slice(0, half)), second: Math.max(...memory.slice(half)) };
}
