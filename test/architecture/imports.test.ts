import { expect } from 'chai';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder: this file runs from a folder of compiled output in it. */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

interface SourceFile {
  /** Relative to the project. */
  readonly path: string;
  readonly text: string;
  /** Without comments and the content of plain strings. */
  readonly code: string;
  /** Project paths and package names, as far as the text names them. */
  readonly imports: readonly string[];
}

/** Every way a module is named: import and export from, import for effect, dynamic import, require, type import. */
const IMPORT = /(?:from|import|require)\s*\(?\s*['"]([^'"]+)['"]/g;

function sourcesBelow(folder: string): readonly SourceFile[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.c?ts$/.test(entry.name))
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      const text = readFileSync(file, 'utf8');
      const named = [...text.matchAll(IMPORT)].map(([, name = '']) => name);
      return {
        path: relative(root, file),
        text,
        code: stripped(text),
        imports: named.map((name) =>
          name.startsWith('.') ? relative(root, resolve(dirname(file), name)) : name,
        ),
      };
    });
}

function stripped(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, (match) =>
    match.startsWith('/') ? ' ' : "''",
  );
}

const isOurs = (name: string): boolean => /^(src|protocol|tui|test)\//.test(name);

function offenders(folder: string, offends: (name: string, file: SourceFile) => boolean): readonly string[] {
  return sourcesBelow(folder).flatMap((file) =>
    file.imports.filter((name) => offends(name, file)).map((name) => `${file.path} imports ${name}`),
  );
}

describe('the layers', () => {
  it('finds the sources it is to judge', () => {
    expect(sourcesBelow('protocol').length).to.be.greaterThan(5);
    expect(sourcesBelow('src').length).to.be.greaterThan(20);
    expect(sourcesBelow('src').some(({ imports }) => imports.some(isOurs))).to.equal(true);
  });

  it('protocol imports nothing of src, tui and test', () => {
    expect(offenders('protocol', (name) => /^(src|tui|test)\//.test(name))).to.deep.equal([]);
  });

  it('protocol has no way to the world outside', () => {
    const modules =
      /^(?:node:)?(?:net|fs|fs\/promises|timers|timers\/promises|child_process|worker_threads|os|process|http|https|tls|dgram|dns)$/;
    expect(offenders('protocol', (name) => modules.test(name) || name === 'serialport')).to.deep.equal([]);
    const words =
      /\b(?:setTimeout|setInterval|setImmediate|queueMicrotask|performance|process|Date|Math\.random|randomUUID|randomFillSync|getRandomValues|console)\b/;
    const found = sourcesBelow('protocol').flatMap(({ path, code }) => {
      const match = words.exec(code);
      return match === null ? [] : [`${path} mentions ${match[0]}`];
    });
    expect(found).to.deep.equal([]);
    // `randomBytes` is also the name of the parameter that randomness comes in by.
    const random = sourcesBelow('protocol').filter(({ text }) =>
      /import[^;]*\brandom\w*[^;]*from 'node:crypto'/.test(text),
    );
    expect(random).to.deep.equal([]);
  });

  for (const layer of ['engine', 'store', 'nbd', 'transport', 'encoding']) {
    it(`${layer} imports protocol and platform only`, () => {
      const own = new RegExp(`^(?:protocol|src/platform|src/${layer})/`);
      expect(offenders(`src/${layer}`, (name) => isOurs(name) && !own.test(name))).to.deep.equal([]);
    });
  }

  it('export imports the store and the NBD server it joins, and nothing above them', () => {
    const own = /^(?:protocol|src\/platform|src\/store|src\/nbd|src\/export)\//;
    expect(offenders('src/export', (name) => isOurs(name) && !own.test(name))).to.deep.equal([]);
  });

  it('platform imports nothing of ours but protocol', () => {
    expect(
      offenders('src/platform', (name) => isOurs(name) && !/^(?:protocol|src\/platform)\//.test(name)),
    ).to.deep.equal([]);
  });

  it('nothing imports the command line, and no product code a test', () => {
    const all = [...offenders('src', forbidden), ...offenders('protocol', forbidden)];
    function forbidden(name: string, { path }: SourceFile): boolean {
      return name.startsWith('test/') || (name.startsWith('src/cli/') && !/^src\/(?:cli|demo)\//.test(path));
    }
    expect(all).to.deep.equal([]);
  });

  it('only the widgets import blessed', () => {
    const all = ['src', 'protocol', 'tui'].flatMap((folder) =>
      offenders(folder, (name, { path }) => name === 'blessed' && !path.startsWith('tui/widgets/')),
    );
    expect(all).to.deep.equal([]);
  });

  it('no type is any', () => {
    const found = ['src', 'protocol', 'tui', 'test'].flatMap((folder) =>
      sourcesBelow(folder)
        .filter(({ code }) => /(?:[:<|,]|\bas|\[\])\s*any\b(?!\s*\()/.test(code))
        .map(({ path }) => path),
    );
    expect(found).to.deep.equal([]);
  });
});
