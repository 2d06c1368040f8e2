import { describe, expect, test } from 'vitest'
import type { Frame } from '../../../src/dashboard/protocol.ts'
import { layOutFlame, neighbour } from '../../../src/dashboard/ui/profile/flame-layout.ts'
import { profile } from './mock-data.ts'

const frame = (name: string, value: number, ...children: Frame[]): Frame => ({
  name,
  file: null,
  line: null,
  value,
  children,
})
const tree = frame('root', 10, frame('a', 6, frame('b', 4), frame('c', 1)), frame('d', 4))
const drawn = (root: Frame, zoom = '', narrowest = 0.001) =>
  layOutFlame(root, zoom, narrowest).map(({ frame: { name }, depth, x, width }) => [
    name,
    depth,
    Number(x.toFixed(4)),
    Number(width.toFixed(4)),
  ])

describe('the flame graph', () => {
  test('gives each frame its share of the width, below its caller', () => {
    expect(drawn(tree)).toEqual([
      ['root', 0, 0, 1],
      ['a', 1, 0, 0.6],
      ['d', 1, 0.6, 0.4],
      ['b', 2, 0, 0.4],
      ['c', 2, 0.4, 0.1],
    ])
  })

  test('zoomed into a frame keeps its callers above it, at full width', () => {
    expect(drawn(tree, '0')).toEqual([
      ['root', 0, 0, 1],
      ['a', 1, 0, 1],
      ['b', 2, 0, 0.6667],
      ['c', 2, 0.6667, 0.1667],
    ])
    expect(layOutFlame(tree, '0', 0.001).filter(({ above }) => above)).toHaveLength(1)
  })

  test('leaves out what is too narrow to be seen, and keeps the place of what stands behind it', () => {
    const root = frame('root', 1_000, frame('narrow', 1), frame('wide', 999))
    expect(drawn(root, '', 0.01)).toEqual([
      ['root', 0, 0, 1],
      ['wide', 1, 0.001, 0.999],
    ])
  })

  test('takes a zoom that is not there any more as far as it leads, and no depth or value breaks it', () => {
    expect(drawn(tree, '0.7')[1]).toEqual(['a', 1, 0, 1])
    let deep = frame('leaf', 1)
    for (let depth = 0; depth < 20_000; depth++) deep = frame('again', 1, deep)
    expect(layOutFlame(deep, '', 0.001)).toHaveLength(201)
    expect(drawn(frame('root', 0, frame('a', Number.NaN), frame('b', -1)))).toEqual([['root', 0, 0, 1]])
  })

  test('is walked with the arrows: to the caller, to the widest callee, to both sides', () => {
    const boxes = layOutFlame(tree, '', 0.001)
    const names = (path: string) =>
      (['up', 'down', 'left', 'right'] as const).map((direction) => neighbour(boxes, path, direction)?.frame.name)
    expect(names('')).toEqual([undefined, 'a', undefined, undefined])
    expect(names('0')).toEqual(['root', 'b', undefined, 'd'])
    expect(names('0.1')).toEqual(['a', undefined, 'b', undefined])
    expect(neighbour(boxes, 'gone', 'up')?.frame.name).toBe('root')
  })

  test('of the mock adds up', () => {
    const { root, busy } = profile('make-thumbnail')
    expect(root.value).toBe(busy)
  })
})
