import { describe, expect, test } from 'vitest';
import { GrammarError } from '../../../worker/grammar/byte-machine.ts';
import { compileChoice } from '../../../worker/grammar/choice.ts';
import { accepts, after, isViable } from './walk.ts';

describe('a choice', () => {
  test('accepts each of its texts, and no other', () => {
    const machine = compileChoice(['red', 'green', 'grey', 'é', '漢字', '😀']);
    for (const text of ['red', 'green', 'grey', 'é', '漢字', '😀']) expect(accepts(machine, text), text).toBe(true);
    for (const text of ['', 're', 'reds', 'gree', 'greyn', 'è', '漢', '😁'])
      expect(accepts(machine, text), text).toBe(false);
  });

  test('may have a text that is the beginning of another, or the same text twice', () => {
    const machine = compileChoice(['ab', 'a', 'ab', 'abc']);
    for (const text of ['a', 'ab', 'abc']) expect(accepts(machine, text), text).toBe(true);
    expect([isViable(machine, 'ab'), isViable(machine, 'abc'), isViable(machine, 'abd')]).toEqual([true, true, false]);
    expect(accepts(machine, 'abcd')).toBe(false);
  });

  test('may be empty texts only', () => {
    const machine = compileChoice(['']);
    expect([accepts(machine, ''), accepts(machine, 'a')]).toEqual([true, false]);
  });

  test('takes text as it is', () => {
    const machine = compileChoice(['a.c', '\\d', '\ufeffx']);
    expect([accepts(machine, 'abc'), accepts(machine, '1'), accepts(machine, 'x')]).not.toContain(true);
    expect([accepts(machine, 'a.c'), accepts(machine, '\\d'), accepts(machine, '\ufeffx')]).not.toContain(false);
  });

  test('has the same mask key where nothing follows', () => {
    const machine = compileChoice(['a', 'b', 'bc']);
    const key = (...bytes: number[]) => machine.maskKey?.(after(machine, bytes));
    expect(key(0x61)).toBe(key(0x62, 0x63));
    expect(new Set([key(), key(0x61), key(0x62), key(0x63)]).size).toBe(4);
  });

  test('is refused if empty, not Unicode or too large', () => {
    expect(() => compileChoice([])).toThrow(new GrammarError('There is no choice'));
    expect(() => compileChoice(['a', 'b\ud83d'])).toThrow(new GrammarError('Choice 1 has half of a surrogate pair'));
    expect(() => compileChoice(['a'.repeat(100_001)])).toThrow(
      new GrammarError('The choices have more than 100000 bytes'),
    );
  });
});
