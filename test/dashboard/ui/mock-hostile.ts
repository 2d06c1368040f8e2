import type { Now, TaskDetail, TraceDetail } from '../../../src/dashboard/protocol.ts'
import { now, taskDetail, taskRow } from './mock-data.ts'
import { span } from './mock-traces.ts'

export const SCRIPT = '<script>globalThis.owned = true</script><img src=x onerror="globalThis.owned = true">'
/** Right-to-left marks that would show `gpj.exe` as `exe.jpg`. */
export const TURNED = 'invoice\u202egpj.exe\u202c'
export const LINES = 'first\r\nSet-Cookie: owned=1\r\n\r\nlast'
export const LONG = 'x'.repeat(10_000_000)
export const HOSTILE_TRACE = 'e'.repeat(32)

export function hostileNow(at: number): Now {
  const names = [
    SCRIPT,
    '__proto__',
    'constructor',
    TURNED,
    LINES,
    '{{constructor}}',
    'a/b?c#d%2f',
    'ä'.repeat(300),
    '\ud800half',
  ]
  return now(at, {
    health: { status: 'degraded', reasons: [SCRIPT, TURNED] },
    tasks: names.map((name, index) =>
      taskRow(name, { trouble: 0.4 - index / 100, failed: index, failureRatio: index / 100, reasons: [SCRIPT, LINES] }),
    ),
    loop: { ...now(at).loop, blockers: [{ task: '__proto__', seconds: 1, longest: 0.1, stalls: 2, place: SCRIPT }] },
  })
}

export function hostileDetail(name: string, at: number): TaskDetail {
  const detail = taskDetail(taskRow(name, { failed: 3, reasons: [SCRIPT] }), 900, at)
  return {
    ...detail,
    errors: [
      { type: SCRIPT, count: 3, lastAt: at, example: { message: LONG, stack: LINES, traceId: null, id: '../../x' } },
      { type: '__proto__', count: 1, lastAt: at, example: { message: TURNED, stack: null, traceId: null, id: 'y' } },
    ],
    failed: [{ id: '../x', at, attempts: 1, error: LONG, traceId: null, retryable: true }],
  }
}

export function hostileTrace(at: number): TraceDetail {
  const own = { traceId: HOSTILE_TRACE }
  return {
    traceId: HOSTILE_TRACE,
    respondedAt: null,
    missing: 0,
    spans: [
      span('a', SCRIPT, at - 500, at - 200, {
        ...own,
        error: SCRIPT,
        attributes: [
          ['__proto__', SCRIPT],
          ['long', LONG],
          [TURNED, LINES],
        ],
      }),
      // Each the other's parent.
      span('b', TURNED, at - 400, at - 300, { ...own, parent: 'c' }),
      span('c', LINES, at - 400, at - 600, { ...own, parent: 'b' }),
    ],
  }
}
