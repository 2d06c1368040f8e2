import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { GENERATED } from '../docs/generate.ts'

test.each(Object.keys(GENERATED))('docs/%s is what the code says; if not, run npm run docs', (name) => {
  expect(readFileSync(new URL(`../docs/${name}`, import.meta.url), 'utf8')).toBe(GENERATED[name]!())
})
