/**
 * Asks an image a question in a headless real browser, with the built package.
 *
 *   npm run ask -- image.png "What is this?" [--browser firefox] [--device webgpu] [--model ID] [--json]
 *
 * `npm run ask` alone lists all options.
 *
 * The answer goes to standard output as it comes, then one line about it; whatever else there is to say goes to
 * standard error. Exits with 1 when there was no answer, with 2 when the command was called wrongly.
 */
import { chdir, cwd, env, stderr, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { readCommand, usage, UsageError } from './ask/usage.mjs';
import { prepare } from './fresh.mjs';

// npm changes to the package's folder and leaves the caller's in the environment.
const callersFolder = env['INIT_CWD'] ?? cwd();
chdir(fileURLToPath(new URL('..', import.meta.url)));

// Stopped by a signal to itself alone, npm leaves this running: nobody would read the answer, or end the browser.
if (env['npm_lifecycle_event']) {
  const { ppid } = process;
  setInterval(() => process.ppid === ppid || process.exit(1), 100).unref();
}

try {
  const command = readCommand(process.argv.slice(2), callersFolder);
  prepare();
  await run(command);
} catch (error) {
  const wrongCall = error instanceof UsageError;
  console.error(`ask: ${error instanceof Error ? error.message : String(error)}${wrongCall ? `\n\n${usage}` : ''}`);
  process.exitCode = wrongCall ? 2 : 1;
}

/** @param {import('./ask/usage.mjs').Command} command */
async function run(command) {
  // Only now is it sure that the packages behind these are installed.
  const [{ ask }, { Reply }] = await Promise.all([import('./ask/session.mjs'), import('./ask/reply.mjs')]);
  const reply = new Reply((text) => command.json || stdout.write(text));
  const progress = progressLine();
  await ask(command, (told) => {
    if (told.type === 'status') progress(told.status);
    else reply.take(told);
  });
  const summary = reply.finish();
  if (command.json) return console.log(JSON.stringify(summary));
  const { origin, model, device, ttftMs, tokensPerSecond } = summary;
  const rate = tokensPerSecond === null ? 'too short for a rate' : `${tokensPerSecond} tokens/s`;
  console.log(`\n${origin} · ${model} on ${device} · first token after ${ttftMs} ms · ${rate}`);
}

/**
 * Says on standard error what the model is doing: every step over the last on a terminal, else each state once.
 *
 * @returns {(status: import('./ask/page.mjs').Progress) => void}
 */
function progressLine() {
  const said = new Set();
  return ({ state, loadedBytes = 0, totalBytes = 0, done = 0, of = 0 }) => {
    const detail = {
      downloading: ` ${(loadedBytes / 1e6).toFixed(1)} of ${(totalBytes / 1e6).toFixed(1)} MB`,
      preparing: ` step ${done} of ${of}`,
    }[state];
    if (stderr.isTTY) stderr.write(`\r\x1b[K${state === 'ready' || state === 'idle' ? '' : `${state}${detail ?? ''}`}`);
    else if (state !== 'idle' && !said.has(state)) stderr.write(`ask: ${state}\n`);
    said.add(state);
  };
}
