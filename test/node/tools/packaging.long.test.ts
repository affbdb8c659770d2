// @module-tag long
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

/** Runs a command of an installed package and returns its output. Throws if it fails. */
function run(name: string, ...args: string[]): string {
  return execFileSync(`node_modules/.bin/${name}`, args, { encoding: 'utf8' });
}

test('publint finds nothing', () => {
  expect(run('publint', '--strict')).toContain('All good!');
});

test('the types resolve under every resolution', () => {
  // The package has ES modules only, which a CommonJS file of `node16` loads by `import()`; so this one finding stays.
  const report = run('attw', '--pack', '.', '--ignore-rules', 'cjs-resolves-to-esm', '--format', 'ascii', '--no-emoji');
  expect(report).toContain('"nearsight/glimpse"');
  expect(report).toContain('"nearsight/models"');
});

/** The compilers, and by which `module` and `moduleResolution` each looks the package up. TypeScript 7 has no `Node`. */
const resolutions = {
  typescript: ['Node16 Node16', 'NodeNext NodeNext', 'ESNext Bundler'],
  'typescript-5.2': ['Node16 Node16', 'NodeNext NodeNext', 'ESNext Bundler', 'ESNext Node'],
};
const compilers = Object.entries(resolutions).flatMap(([name, ways]) => ways.map((way) => [name, way] as const));

test.each(compilers)("%s, %s: the types compile, and need the web's only", (compiler, way) => {
  const folder = mkdtempSync(join(tmpdir(), 'nearsight-types-'));
  try {
    const installed = join(folder, 'node_modules/nearsight');
    for (const part of ['dist', 'package.json']) cpSync(part, join(installed, part), { recursive: true });
    const source = `
      import { createNearsight } from 'nearsight';
      import { glimpse } from 'nearsight/glimpse';
      import { catalogue, smolvlm2Video256m } from 'nearsight/models';
      import { createNimProxy, toNodeHandler } from 'nearsight/proxy';
      createNearsight({ model: glimpse }).fetch satisfies typeof fetch;
      createNearsight({ model: catalogue[0] ?? smolvlm2Video256m });
      const proxy = createNimProxy({ apiKey: 'nvapi-…', authorize: () => true, models: ['meta/llama'] });
      proxy(new Request('')) satisfies Promise<Response>;
      toNodeHandler(proxy);
      // @ts-expect-error A model is required: these are the real types.
      createNearsight({});
      // @ts-expect-error There are no Node types here.
      process.exit();`;
    writeFileSync(join(folder, 'application.ts'), source);
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const [module, moduleResolution] = way.split(' ');
    const compilerOptions = {
      noEmit: true,
      strict: true,
      skipLibCheck: false,
      target: 'ES2022',
      lib: ['ES2022', 'DOM'],
      module,
      moduleResolution,
      types: [],
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['application.ts'] }));
    const { stdout } = spawnSync('node', [`node_modules/${compiler}/bin/tsc`, '-p', folder], { encoding: 'utf8' });
    expect(stdout).toBe('');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the package has all files that it needs, and no others', () => {
  const [{ files }] = JSON.parse(execFileSync('npm', ['pack', '--dry-run', '--json'], { encoding: 'utf8' }));
  const paths: string[] = files.map(({ path }: { path: string }) => path);
  const unexpected = paths.filter(
    (path) => !/^(dist\/|bin\/nearsight\.mjs$|package\.json$|README\.md$|CHANGELOG\.md$|LICENSE$)/.test(path),
  );
  expect(unexpected).toEqual([]);
  for (const needed of [
    'dist/index.js',
    'dist/glimpse.js',
    'dist/models.js',
    'dist/worker.js',
    'dist/src/index.d.ts',
  ]) {
    expect(paths).toContain(needed);
  }
});
