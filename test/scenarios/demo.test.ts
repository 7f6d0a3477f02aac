import { expect } from 'chai';
import { farcopy, MAIN } from '../support/farcopy.js';
import { must, run } from '../support/program.js';
import { requires } from '../support/requirements.js';
import { sandboxPerTest } from '../support/sandbox.js';
import { until } from '../support/until.js';

/** Named by the product's promise for the demo. */
const DEMO_MS = 60_000;
const DEMO_LINE_BYTES = 120 * 1024;

describe('farcopy demo', function () {
  this.timeout(100_000);
  const sandbox = sandboxPerTest();

  it('shows the whole job in under a minute, on at most 120 KB of line', async () => {
    const folder = sandbox().path('empty');
    await must('mkdir', [folder]);
    const began = performance.now();
    const { code, stdout, stderr } = await farcopy(['demo'], { cwd: folder, timeoutMs: 90_000 });
    const took = performance.now() - began;
    expect(code, stdout + stderr).to.equal(0);
    console.log(`      ${(took / 1000).toFixed(1)} s`);
    expect(took).to.be.lessThan(DEMO_MS);
    expect(stdout).to.match(/57,?600/);
    for (const part of [
      /snapshot|first copy/i,
      /chang/i,
      /drop|carrier|cut/i,
      /resum|goes on/i,
      /restor/i,
      /equal|identical/i,
    ]) {
      expect(stdout).to.match(part);
    }
    const onTheLine = bytesOnTheLine(stdout);
    console.log(`      ${onTheLine} bytes on the line by its own count`);
    expect(onTheLine).to.be.greaterThan(10_000).and.lessThan(DEMO_LINE_BYTES);
    expect((await must('ls', ['-A', folder])).trim(), 'left behind').to.equal('');
  });

  it('tells its story in a terminal, without a line longer than the screen', async function () {
    requires(this, { programs: ['tmux'] });
    const socket = sandbox().path('tmux');
    const tmux = (...args: string[]): Promise<string> => must('tmux', ['-S', socket, ...args]);
    const width = 100;
    sandbox().defer('tmux', async () => {
      await run('tmux', ['-S', socket, 'kill-server']);
    });
    await tmux('-f', '/dev/null', 'new-session', '-d', '-x', `${width}`, '-y', '60', 'sh');
    await tmux('send-keys', `'${process.execPath}' '${MAIN}' demo; echo "ended with $?"`, 'Enter');
    const capture = (): Promise<string> => tmux('capture-pane', '-p', '-S', '-300');
    const screen = await until(
      'the demo ends',
      async () => {
        const seen = await capture();
        return /^ended with \d+/m.test(seen) && seen;
      },
      { timeoutMs: 90_000, everyMs: 500 },
    );
    sandbox().note(() => screen);
    expect(screen).to.match(/^ended with 0/m);
    expect(screen).not.to.match(/\uFFFD|undefined|NaN|\[object/);
    const story = screen.split('\n').slice(screen.split('\n').findIndex((line) => line.includes('demo')) + 2);
    expect(story.filter((line) => line.trimEnd().length >= width)).to.deep.equal([]);
  });

  it('is stopped by Ctrl-C at any time, leaving nothing behind', async function () {
    requires(this, { programs: ['tmux'] });
    const socket = sandbox().path('tmux');
    const temporary = sandbox().path('tmp');
    await must('mkdir', [temporary]);
    const tmux = (...args: string[]): Promise<string> => must('tmux', ['-S', socket, ...args]);
    sandbox().defer('tmux', async () => {
      await run('tmux', ['-S', socket, 'kill-server']);
    });
    await tmux('-f', '/dev/null', 'new-session', '-d', '-x', '100', '-y', '60', 'sh');
    await tmux('send-keys', `export TMPDIR='${temporary}'`, 'Enter');
    await tmux('send-keys', `'${process.execPath}' '${MAIN}' demo; echo "ended with $?"`, 'Enter');
    const capture = (): Promise<string> => tmux('capture-pane', '-p');
    await until('the demo is under way', async () => /first copy/i.test(await capture()), {
      timeoutMs: 40_000,
    });
    await tmux('send-keys', 'C-c');
    await until('the demo is stopped', async () => /^ended with \d+/m.test(await capture()), {
      timeoutMs: 15_000,
    });
    expect((await must('ls', ['-A', temporary])).trim(), 'left behind').to.equal('');
  });
});

/** The total that the demo tells at its end. */
function bytesOnTheLine(story: string): number {
  const counts = [...story.matchAll(/on the line: ([\d.]+) (bytes|kB)/gi)];
  const last = counts.at(-1);
  if (last?.[1] === undefined) throw new Error('the demo does not tell how many bytes were on the line');
  return Number(last[1]) * (last[2] === 'bytes' ? 1 : 1000);
}
