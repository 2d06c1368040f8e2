import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const built = fileURLToPath(new URL('../../dist/dashboard/ui/', import.meta.url))
const files = readdirSync(built, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name))
const read = (path: string) => readFileSync(path, 'utf8')

/** What a browser loads: not the licences that lie beside it. */
const loaded = files.filter((path) => !path.endsWith('.md'))

test('the page is at most 120 kB as it is sent', () => {
  const sizes = loaded.map((path) => [path.slice(built.length), gzipSync(readFileSync(path)).length] as const)
  const sum = sizes.reduce((total, [, size]) => total + size, 0)
  console.log(`${sizes.map(([path, size]) => `${path} ${size}`).join(', ')}: ${sum} bytes with gzip`)
  expect(sum).toBeLessThanOrEqual(120_000)
})

test('the page names no other host', () => {
  const hosts = loaded.flatMap((path) =>
    [...read(path).matchAll(/(?:https?:)?\/\/[\w-]+(\.[\w-]+)+/g)].map(([url]) => url),
  )
  // Names of vocabularies, which nothing asks for.
  expect(hosts.filter((url) => !url.startsWith('http://www.w3.org'))).toEqual([])
})

test('index.html has the place for the configuration, relative addresses, and nothing that a strict policy forbids', () => {
  const html = read(join(built, 'index.html'))
  expect(html).toContain('<script type="application/json" id="config">{"config":null}</script>')
  const addresses = [...html.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, address]) => address!)
  expect(addresses).toHaveLength(3)
  expect(addresses.filter((address) => !/^\.\/assets\/[\w-]+-[\w-]{8}\.(js|css|svg)$/.test(address))).toEqual([])
  expect(html).not.toMatch(/\sstyle=|<style|\son\w+=/)
  const scripts = [...html.matchAll(/<script[^>]*>([^<]*)<\/script>/g)].map(([, text]) => text)
  expect(scripts).toEqual(['{"config":null}', ''])
})

test('nothing writes HTML from text, and the licences of what is built in lie beside it', () => {
  const code = loaded
    .filter((path) => path.endsWith('.js'))
    .map(read)
    .join('\n')
  expect(code).not.toMatch(/\beval\(|new Function\(|insertAdjacentHTML|document\.write|outerHTML/)
  const sources = readdirSync(fileURLToPath(new URL('../../src/dashboard/ui', import.meta.url)), {
    recursive: true,
    encoding: 'utf8',
  })
    .filter((path) => /\.tsx?$/.test(path))
    .map((path) => read(fileURLToPath(new URL(`../../src/dashboard/ui/${path}`, import.meta.url))))
  expect(sources.filter((text) => /innerHTML|outerHTML/.test(text))).toEqual([])
  expect(read(join(built, 'THIRD-PARTY.md'))).toMatch(/preact[\s\S]*uplot/)
})
