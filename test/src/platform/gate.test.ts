import { expect } from 'chai';
import { Gate } from '../../../src/platform/gate.js';

/** Work that ends when it is told to. */
class Work {
  static begun: string[] = [];
  end: (error?: Error) => void = () => undefined;

  constructor(readonly name: string) {}

  readonly run = (): Promise<string> => {
    Work.begun.push(this.name);
    return new Promise((resolve, reject) => {
      this.end = (error) => {
        if (error === undefined) resolve(this.name);
        else reject(error);
      };
    });
  };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

describe('A gate', () => {
  it('lets so many through at once, the others in their order, whatever becomes of those before', async () => {
    Work.begun = [];
    const gate = new Gate(2);
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => new Work(name)) as [Work, Work, Work, Work];
    const [first, second, third, fourth] = [a, b, c, d].map(({ run }) => gate.run(run));
    await turns();
    expect(Work.begun).to.deep.equal(['a', 'b']);
    b.end(new Error('disk'));
    expect(await second?.catch((error: unknown) => (error as Error).message)).to.equal('disk');
    await turns();
    expect(Work.begun).to.deep.equal(['a', 'b', 'c']);
    c.end();
    expect(await third).to.equal('c');
    await turns();
    expect(Work.begun).to.deep.equal(['a', 'b', 'c', 'd']);
    a.end();
    d.end();
    expect(await Promise.all([first, fourth])).to.deep.equal(['a', 'd']);
    const late = [new Work('e'), new Work('f'), new Work('g')];
    const all = late.map(({ run }) => gate.run(run));
    await turns();
    expect(Work.begun.slice(4), 'both places are free again').to.deep.equal(['e', 'f']);
    for (const work of late) {
      work.end();
      await turns();
    }
    await Promise.all(all);
  });

  it('has a place more for what is urgent, which goes before what waits already', async () => {
    Work.begun = [];
    const gate = new Gate(2, 1);
    const works = ['a', 'b', 'c', 'u', 'v', 'd'].map((name) => new Work(name));
    const all = works.map(({ name, run }) => gate.run(run, name === 'u' || name === 'v'));
    const end = async (name: string): Promise<void> => {
      works.find((work) => work.name === name)?.end();
      await turns();
    };
    await turns();
    expect(Work.begun.join('')).to.equal('abu');
    await end('a');
    expect(Work.begun.join('')).to.equal('abuv');
    await end('u');
    expect(Work.begun.join('')).to.equal('abuvc', 'two that are not urgent at the most');
    await end('b');
    expect(Work.begun.join('')).to.equal('abuvcd');
    for (const name of ['v', 'c', 'd']) await end(name);
    await Promise.all(all);
    const [e, f, g, w] = ['e', 'f', 'g', 'w'].map((name) => new Work(name)) as [Work, Work, Work, Work];
    const late = [e, f, g].map(({ run }) => gate.run(run));
    late.push(gate.run(w.run, true));
    await turns();
    expect(Work.begun.slice(6).join('')).to.equal('efw', 'all places are free again');
    for (const work of [e, f, g, w]) {
      work.end();
      await turns();
    }
    await Promise.all(late);
  });

  it('gives the place of work that throws at once to the next', async () => {
    const gate = new Gate(1);
    const failed = gate.run(() => {
      throw new Error('at once');
    });
    expect(await failed.catch((error: unknown) => (error as Error).message)).to.equal('at once');
    expect(await gate.run(() => Promise.resolve(1))).to.equal(1);
  });
});
