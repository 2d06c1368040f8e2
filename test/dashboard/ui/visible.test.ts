import { expect, test } from 'vitest'
import { cut, manyLines, oneLine } from '../../../src/dashboard/ui/words/visible.ts'

test('marks that turn the direction, control characters and line ends are spelled out in a name', () => {
  expect(oneLine('invoice\u202egpj.exe')).toBe('invoice‹U+202E›gpj.exe')
  expect(oneLine('a\r\nb\nc\rd\te')).toBe('a↵b↵c‹CR›d⇥e')
  expect(oneLine('\u0000\u200b\ud800')).toBe('‹U+0000›‹U+200B›‹U+D800›')
  expect(oneLine('größer – 数 🙂')).toBe('größer – 数 🙂')
})

test('a text of many lines keeps its lines', () => {
  expect(manyLines('a\r\n\tb\rc\u2066')).toBe('a\n\tb\nc‹U+2066›')
})

test('a cut never leaves half a character', () => {
  expect(cut('abc', 3)).toBe('abc')
  expect(cut('abcd', 3)).toBe('abc')
  expect(cut('ab🙂d', 3)).toBe('ab')
})
