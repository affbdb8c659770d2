import { describe, expect, test } from 'vitest';
import type { Turn, TurnPart } from '../../../src/protocol/job.ts';
import { openChatTemplate } from '../../../worker/families/chat-template.ts';
import { glimpseTokenizer } from './glimpse-tokenizer.ts';

const TOOLS = [
  { type: 'function', function: { name: 'f', description: 'See <image> or </s>', parameters: { '<image>': 1 } } },
];
const OURS = { type: 'tools' as const, text: '# Ours', tools: TOOLS.map((tool) => JSON.stringify(tool)) };
const user: Turn = { role: 'user', parts: [{ type: 'text', text: 'hi' }] };

const CALL = '<tool_call>{\\"name\\": ..., \\"arguments\\": ...}</tool_call>';
const MESSAGES =
  '{% for m in messages %}{{ m.role }}: {% for part in m.content %}{{ part.text }}{% endfor %};{% endfor %}';
/** As Qwen2.5 and Hermes have it. */
const KNOWS = `{% if tools %}{{ "Call as ${CALL}: " }}{% for tool in tools %}{{ tool | tojson }} {{ tool.function.name }};{% endfor %}{% endif %}${MESSAGES}`;

/** What a template makes of a chat with tools. */
function rendered(template: string, turns: readonly Turn[]): string {
  const tokenizer = glimpseTokenizer();
  const encode = openChatTemplate(new Map([['chat_template.jinja', new TextEncoder().encode(template)]]), tokenizer);
  const ids = [...encode(turns, '<image>', [])];
  expect(ids, 'special tokens').not.toContain(tokenizer.special.get('<image>'));
  return new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => [...tokenizer.bytes(id)])));
}

describe('a message of several texts', () => {
  const text = (text: string): TurnPart => ({ type: 'text', text });
  /** As Gemma 3 has it. */
  const GEMMA =
    '{{ messages[0].content[0].text }}:{% for m in messages[1:] %}{% for p in m.content %}{{ p.text | trim }}{% endfor %};{% endfor %}';

  test('is one to a template that reads the first of a system message, and trims those of others', () => {
    const told = rendered(GEMMA, [
      { role: 'system', parts: [text('Be brief.'), text(' Be kind.'), { ...OURS, text: '\n\n# Ours' }] },
      { role: 'user', parts: [text('one '), text(' two')] },
      { role: 'assistant', parts: [text('ok'), text('\n<tool_call>')] },
      { role: 'assistant', parts: [] },
    ]);
    // A user's are the template's to trim, as in the Python reference.
    expect(told).toBe('Be brief. Be kind.\n\n# Ours:onetwo;ok\n<tool_call>;;');
  });
});

describe('tools', () => {
  test('are given to a template that knows them, in place of our instruction', () => {
    const told = 'Call as <tool_call>{"name": ..., "arguments": ...}</tool_call>: ';
    const shown =
      '{"type": "function", "function": {"name": "f", "description": "See <image> or </s>", "parameters": {"<image>": 1}}} f;';
    expect(rendered(KNOWS, [{ role: 'system', parts: [OURS] }, user])).toBe(`${told}${shown}user: hi;`);
    const system: Turn = { role: 'system', parts: [{ type: 'text', text: 'Be brief.' }, OURS] };
    expect(rendered(KNOWS, [system, user])).toBe(`${told}${shown}system: Be brief.;user: hi;`);
    expect(rendered(KNOWS, [user])).toBe('user: hi;');
  });

  test.each([
    ['does not know them', MESSAGES],
    [
      'has another form of calls',
      `{% if tools %}{{ '<tool_call><function=f></function></tool_call>' }}{% endif %}${MESSAGES}`,
    ],
    ['has other marks of calls', `{% if tools %}{{ '[{"name": ..., "arguments": ...}]' }}{% endif %}${MESSAGES}`],
  ])('are told in our words where the template %s', (_why, template) => {
    const system: Turn = { role: 'system', parts: [OURS] };
    expect(rendered(template, [system, user])).toBe('system: # Ours;user: hi;');
  });
});
