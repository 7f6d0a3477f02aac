import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { Sandbox } from './sandbox.js';

describe('sandbox', () => {
  it('takes things down in reverse order, each one although another fails, and says which failed', async () => {
    const sandbox = Sandbox.create();
    const order: string[] = [];
    sandbox.defer('first', () => void order.push('first'));
    sandbox.defer('second', () => {
      throw new Error('stuck');
    });
    const third = sandbox.defer('third', () => void order.push('third'));
    sandbox.defer('fourth', () => void order.push('fourth'));
    await third();
    await third();
    const failure = await sandbox.close().then(
      () => undefined,
      (cause: unknown) => cause as AggregateError,
    );
    expect(order).to.deep.equal(['third', 'fourth', 'first']);
    expect(failure?.message).to.equal('while taking down second: stuck');
    expect(existsSync(sandbox.folder)).to.equal(false);
  });
});
