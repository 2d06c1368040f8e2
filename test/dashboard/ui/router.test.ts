import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { href, parse, type Route, searchQuery } from '../../../src/dashboard/ui/router.ts'

const PLACES: readonly [string, Route][] = [
  ['', { screen: 'now', filter: '' }],
  ['#/', { screen: 'now', filter: '' }],
  ['#/?filter=mail', { screen: 'now', filter: 'mail' }],
  ['#/tasks/send-receipt', { screen: 'task', name: 'send-receipt', range: 900 }],
  ['#/tasks/send-receipt?range=3600', { screen: 'task', name: 'send-receipt', range: 3600 }],
  ['#/tasks/send-receipt?range=12', { screen: 'task', name: 'send-receipt', range: 900 }],
  ['#/tasks/a%2Fb%3Fc%23d%2525', { screen: 'task', name: 'a/b?c#d%25', range: 900 }],
  ['#/tasks/__proto__', { screen: 'task', name: '__proto__', range: 900 }],
  ['#/tasks/%E0%A4%A', { screen: 'task', name: '%E0%A4%A', range: 900 }],
  ['#/traces', { screen: 'traces', search: {} }],
  [
    '#/traces?task=mail&error=%20Smtp%20&failed=1',
    { screen: 'traces', search: { task: 'mail', error: 'Smtp', failed: true } },
  ],
  ['#/traces/abc?span=s1', { screen: 'trace', traceId: 'abc', spanId: 's1' }],
  ['#/queue', { screen: 'queue', name: null }],
  ['#/queue/mail', { screen: 'queue', name: 'mail' }],
  ['#/profile/mail?id=p1', { screen: 'profile', name: 'mail', id: 'p1' }],
  ['#/undeclared', { screen: 'undeclared' }],
  ['#/telemetry', { screen: 'telemetry' }],
  ['#/telemetry/x', { screen: 'unknown', path: 'telemetry/x' }],
  ['#/nowhere', { screen: 'unknown', path: 'nowhere' }],
]

describe('an address', () => {
  test.each(PLACES)('%s leads to its screen', (hash, route) => expect(parse(hash)).toEqual(route))

  test('of any name leads back to that name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (name) => {
        const task: Route = { screen: 'task', name, range: 3600 }
        expect(parse(href(task))).toEqual(task)
        const queue: Route = { screen: 'queue', name }
        expect(parse(href(queue))).toEqual(queue)
      }),
    )
  })

  test('of half a surrogate pair is still an address', () => {
    expect(href({ screen: 'queue', name: '\ud800' })).toBe('#/queue/%EF%BF%BD')
  })

  test('has only what differs from the default', () => {
    expect(href({ screen: 'task', name: 'a', range: 900 })).toBe('#/tasks/a')
    expect(href({ screen: 'now', filter: '' })).toBe('#/')
    expect(href({ screen: 'telemetry' })).toBe('#/telemetry')
    expect(searchQuery({ route: '/a&b', failed: true }, { after: '20' })).toBe('?route=%2Fa%26b&failed=1&after=20')
  })
})
