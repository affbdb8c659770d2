/**
 * Asks a question about an image, in a headless browser with the built package.
 *
 *   npm run ask -- image.png "What is this?" [--browser firefox] [--device webgpu] [--model ID] [--json]
 *
 * `npm run ask -- --help` lists all options. Downloaded models are kept in a browser profile in the cache folder.
 *
 * Streams the answer to standard output, then one line about it; progress and errors go to standard error. Exits with 1
 * when there was no answer, with 2 when the arguments are wrong.
 */
import { chdir, cwd, env, stderr, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { ProgressLine } from './ask/progress.mjs';
import { HelpRequest, readCommand, usage, UsageError } from './ask/usage.mjs';
import { prepare } from './fresh.mjs';

// npm changes to the package's folder. INIT_CWD is the caller's.
const callersFolder = env['INIT_CWD'] ?? cwd();
chdir(fileURLToPath(new URL('..', import.meta.url)));

// When only npm is stopped by a signal, this process would go on without a reader, and its browser too.
if (env['npm_lifecycle_event']) {
  const { ppid } = process;
  setInterval(() => process.ppid === ppid || process.exit(1), 100).unref();
}

try {
  const command = readCommand(process.argv.slice(2), callersFolder);
  prepare(['--only', command.browser, ...(command.setup ? [] : ['--no-setup'])]);
  await run(command);
} catch (error) {
  if (error instanceof HelpRequest) {
    console.log(error.message);
    process.exit(0);
  }
  const wrongUsage = error instanceof UsageError;
  console.error(`ask: ${error instanceof Error ? error.message : String(error)}${wrongUsage ? `\n\n${usage}` : ''}`);
  process.exitCode = wrongUsage ? 2 : 1;
}

/** @param {import('./ask/usage.mjs').Command} command */
async function run(command) {
  // Imported here, after `prepare()` has installed the packages that these need.
  const [{ ask }, { Reply }] = await Promise.all([import('./ask/session.mjs'), import('./ask/reply.mjs')]);
  const reply = new Reply((text) => command.json || stdout.write(text));
  const progress = new ProgressLine(stderr);
  const note = (/** @type {string} */ text) => stderr.write(`ask: ${text}\n`);
  try {
    await ask(command, note, (event) => {
      if (event.type === 'status') progress.show(event.status);
      else reply.take(event);
    });
  } finally {
    progress.clear();
  }
  const summary = reply.finish();
  if (command.json) return console.log(JSON.stringify(summary));
  const { origin, model, device, ttftMs, tokensPerSecond } = summary;
  const rate = tokensPerSecond === null ? 'too short for a rate' : `${tokensPerSecond} tokens/s`;
  console.log(`\n${origin} · ${model} on ${device} · first token after ${ttftMs} ms · ${rate}`);
}
