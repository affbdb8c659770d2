import { Template } from '@huggingface/jinja';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openTemplate } from '../../../worker/families/bounded-template.ts';

const chat = (text = 'Hello') => ({
  messages: [
    { role: 'user', content: [{ type: 'image' }, { type: 'text', text }] },
    { role: 'assistant', content: [{ type: 'text', text: 'Hi.' }] },
    { role: 'user', content: [{ type: 'text', text: 'Why?' }] },
  ],
  add_generation_prompt: true,
});

/** How long it took to fail, and with what. */
function fail(template: string, input: Record<string, unknown> = chat()) {
  const start = performance.now();
  let thrown: unknown;
  try {
    openTemplate(template).render(input);
  } catch (error) {
    thrown = error;
  }
  const { code, message }: { code?: string; message?: string } = Object(thrown);
  return { code, message, milliseconds: performance.now() - start };
}

/** The deadline, and what one step and a busy machine add. */
const SOON = 10_000;

const files = [
  'models/glimpse/chat_template.json',
  'SmolVLM-256M-Instruct/chat_template.json',
  'tiny/smolvlm2-tiny/chat_template.json',
  ...['catalogues/granite-docling-258M', 'catalogues/Qwen3.5-0.8B', 'tiny/lfm2-vl-tiny', 'tiny/gemma3-tiny'].map(
    (folder) => `${folder}/chat_template.jinja`,
  ),
].map((file) => (existsSync(file) ? file : `${process.env['NEARSIGHT_SHARED'] ?? '../shared'}/models/${file}`));

describe('the templates of models', () => {
  it.for(files.map((file) => [file.split('/').slice(-2).join('/'), file] as const))('%s', ([, file], { skip }) => {
    if (!existsSync(file)) return skip('not here: set NEARSIGHT_SHARED to the folder that has it');
    const content = readFileSync(file, 'utf8');
    const text = file.endsWith('.json') ? (JSON.parse(content) as { chat_template: string }).chat_template : content;
    // Longer than the allowance that does not depend on the chat.
    const long = chat('words and more words '.repeat(100_000));
    for (const input of [chat(), long]) {
      const start = performance.now();
      const rendered = openTemplate(text).render(input);
      expect(performance.now() - start).toBeLessThan(5000);
      expect(rendered === new Template(text).render(input)).toBe(true);
      expect(rendered).toContain('Why?');
    }
  });

  it('refuse chats with their own words', () => {
    expect(fail('{{ raise_exception("Roles must alternate") }}')).toMatchObject({
      code: 'invalid_request',
      message: "The model's chat template refuses these messages: Roles must alternate",
    });
  });

  it('have what templates use', () => {
    const uses = `{%- set ns = namespace(n=0) -%}{%- for i in range(2, 8, 3) -%}{%- set ns.n = ns.n + i -%}{%- endfor -%}
{%- macro say(text) -%}<{{ text | trim | replace('a', 'b') }}>{%- endmacro -%}
{{- say(' banana ') }}{{ ns.n }}{{ messages[::-1][0]['content'][0].text.split('?')[0] }}{{ {'k': [1]} | tojson(indent=2) }}
{{- ['x', 'y'] | join(', ') }}{{ range(3) | list }}{{ strftime_now is defined }}{{ range(-1) | length }}`;
    const expected = '<bbnbnb>7Why{\n  "k": [\n    1\n  ]\n}x, y[0, 1, 2]false0';
    expect(openTemplate(uses).render(chat())).toBe(expected);
  });
});

describe('a template cannot take the machine', () => {
  it.each<[string, string]>([
    ['two loops of a million', '{% for i in range(10**6) %}{% for j in range(10**6) %}{% endfor %}{% endfor %}'],
    ['loops within bounds', `${'{% for i in range(10000) %}'.repeat(4)}x${'{% endfor %}'.repeat(4)}`],
    ['empty loops', `${'{% for i in range(60000) %}'.repeat(3)}${'{% endfor %}'.repeat(3)}`],
    ['a macro that calls itself twice', '{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}'],
    ['a macro that doubles calls', `${calls(40)}{{ f40() }}`],
    ['a string that doubles', `{% set x = 'ab' %}${'{% set x = x ~ x %}'.repeat(60)}{{ x }}`],
    [
      'a string that grows in a loop',
      "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    ],
    ['a list that doubles', `{% set x = [1] %}${'{% set x = x + x %}'.repeat(60)}{{ x }}`],
    ['lists of the same list, as text', `{% set x = ['ab'] %}${'{% set x = [x, x] %}'.repeat(60)}{{ x }}`],
    ['lists of the same list, as JSON', `{% set x = ['ab'] %}${'{% set x = [x, x] %}'.repeat(30)}{{ x | tojson }}`],
    ['objects of the same object', `{% set x = {'a': 1} %}${"{% set x = {'a': x, 'b': x} %}".repeat(60)}{{ x ~ '' }}`],
    [
      'namespaces within lists',
      `{% set x = namespace(a=1) %}${'{% set x = namespace(a=[x, x]) %}'.repeat(60)}{{ [x] ~ '' }}`,
    ],
    [
      'many large strings',
      `{% set x = 'x' %}${'{% set x = x ~ x %}'.repeat(19)}${'{% set x = x | replace("x", "y") %}{{ x | upper }}'.repeat(300)}`,
    ],
    ['a replacement by a large string', "{% set x = 'a' %}{{ x.replace('a', x) }}"],
    ['a replacement through a filter', "{{ 'aaaa' | replace('a', messages[0]['content'][1]['text']) }}"],
    ['a replacement by another name', "{% set f = 'a'.replace %}{{ f('a', 'b') }}"],
    ['a replacement by a computed name', "{{ 'a'['rep' ~ 'lace']('a', 'b') }}"],
    ['an indentation of millions', "{{ 'a\\nb' | indent(100000000) }}"],
    ['JSON with such an indentation', '{{ [1] | tojson(indent=100000000) }}'],
    ['a large separator', "{% set x = 'ab' ~ 'cd' %}{{ range(1000) | join(x) }}"],
    ['arguments from a list', "{% set x = ['a', 'b'] %}{{ 'a' | replace(*x) }}"],
    ['a range without an end', '{{ range(0, 10, 0) }}'],
    ['deep parentheses', `{{ ${'('.repeat(30_000)}1${')'.repeat(30_000)} }}`],
    ['an open tag', '{% for x in y'],
    ['many spaces', ' '.repeat(60_000)],
    ['many lines', '\n '.repeat(30_000)],
    ['white space in many places', `${`${' '.repeat(499)}x`.repeat(131)}{{`],
    ['lines in many places', `${`${'\n'.repeat(499)}{`.repeat(131)}{{`],
    ['many open braces', '{'.repeat(65_000)],
    ['many open comments', '{#'.repeat(32_000)],
  ])('with %s', (_, template) => {
    const before = process.memoryUsage().rss;
    const { code, message, milliseconds } = fail(template);
    expect(code).toBe('load_failed');
    expect(message).toMatch(/^The model's chat template /);
    expect(milliseconds).toBeLessThan(SOON);
    expect(process.memoryUsage().rss - before).toBeLessThan(500e6);
  });

  it('with its length', () => {
    expect(fail('x'.repeat(65_537)).message).toContain('has 65537 characters; at most 65536 are accepted');
    expect(openTemplate('x'.repeat(65_536)).render({})).toHaveLength(65_536);
  });

  function calls(count: number): string {
    const macros = Array.from(
      { length: count },
      (_, at) => `{% macro f${at + 1}() %}{{ f${at}() }}{{ f${at}() }}{% endmacro %}`,
    );
    return `{% macro f0() %}x{% endmacro %}${macros.join('')}`;
  }
});
