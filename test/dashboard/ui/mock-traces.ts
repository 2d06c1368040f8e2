import type { TraceDetail, TraceRow, TraceSpan } from '../../../src/dashboard/protocol.ts'

export const RECEIPT_TRACE = '0af7651916cd43dd8448eb211c80319c'
export const LINKED_TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
export const HUGE_TRACE = 'f'.repeat(32)

export function span(
  spanId: string,
  name: string,
  start: number,
  end: number | null,
  given: Partial<TraceSpan> = {},
): TraceSpan {
  return {
    spanId,
    traceId: RECEIPT_TRACE,
    parent: null,
    name,
    kind: 'internal',
    start,
    end,
    error: null,
    attributes: [],
    events: [],
    links: [],
    late: false,
    ...given,
  }
}

/** An order: its request, a receipt that is tried three times, a cache fill, and a webhook over an engine in a trace of its own. */
export function receiptTrace(at: number): TraceDetail {
  const t = at - 41_000
  const server = 's000000000000001'
  const attempt = (number: number, result: string, wait: number) => ({
    name: 'send-receipt',
    id: 'task_2bq9',
    attempt: number,
    wait,
    result,
  })
  const smtp = 'SmtpError: 451 4.3.0 Temporary server error'
  const exception = (when: number) => [
    {
      at: when,
      name: 'exception',
      attributes: [
        ['exception.type', 'SmtpError'],
        ['exception.message', '451 4.3.0 Temporary server error'],
        [
          'exception.stacktrace',
          'SmtpError: 451\n    at sendReceipt (/app/src/mail.ts:58:11)\n    at async run (/app/src/tasks.ts:12:3)',
        ],
      ] as const,
    },
  ]
  const attributes = (number: number) =>
    [
      ['task.name', 'send-receipt'],
      ['task.id', 'task_2bq9'],
      ['task.attempt', String(number)],
      ['http.route', '/orders'],
    ] as const
  return {
    traceId: RECEIPT_TRACE,
    respondedAt: t + 182,
    missing: 2,
    spans: [
      span(server, 'POST /orders', t, t + 182, {
        kind: 'server',
        attributes: [
          ['http.request.method', 'POST'],
          ['http.route', '/orders'],
          ['http.response.status_code', '202'],
        ],
      }),
      span('s000000000000002', 'pg.query:INSERT orders', t + 21, t + 74, { parent: server, kind: 'client' }),
      span('s000000000000003', 'task warm-cache', t + 186, t + 240, {
        parent: server,
        late: true,
        task: { name: 'warm-cache', id: 'task_2bq8', attempt: 1, wait: 0.004, result: 'ok' },
      }),
      span('s000000000000004', 'task send-receipt', t + 402, t + 790, {
        parent: server,
        late: true,
        error: smtp,
        task: attempt(1, 'error', 0.22),
        attributes: attributes(1),
        events: exception(t + 788),
      }),
      span('s000000000000005', 'smtp.connect', t + 410, t + 780, {
        parent: 's000000000000004',
        kind: 'client',
        late: true,
        error: 'ECONNRESET',
      }),
      span('s000000000000006', 'task send-receipt', t + 1_080, t + 1_390, {
        parent: server,
        late: true,
        error: smtp,
        task: attempt(2, 'error', 0.01),
        attributes: attributes(2),
        links: [{ traceId: RECEIPT_TRACE, spanId: 's000000000000004' }],
        events: exception(t + 1_388),
      }),
      span('s000000000000007', 'task send-receipt', t + 1_940, t + 2_310, {
        parent: server,
        late: true,
        task: attempt(3, 'ok', 0.06),
        attributes: attributes(3),
        links: [{ traceId: RECEIPT_TRACE, spanId: 's000000000000006' }],
      }),
      span('s000000000000008', 'send webhooks', t + 96, t + 104, {
        parent: server,
        kind: 'producer',
        links: [{ traceId: LINKED_TRACE, spanId: 's000000000000009' }],
        attributes: [['messaging.system', 'bullmq']],
      }),
      span('s000000000000009', 'process webhooks', t + 620, null, {
        traceId: LINKED_TRACE,
        kind: 'consumer',
        late: true,
        task: { name: 'notify-webhook', id: 'task_2bqc', attempt: 1, wait: 0.41, result: null },
        links: [{ traceId: RECEIPT_TRACE, spanId: 's000000000000008' }],
      }),
      span('s00000000000000a', 'POST', t + 640, t + 2_600, {
        traceId: LINKED_TRACE,
        parent: 's000000000000009',
        kind: 'client',
        late: true,
      }),
    ].map((one) => (one.spanId === 's000000000000009' ? { ...one, end: t + 2_650 } : one)),
  }
}

export function hugeTrace(at: number, spans = 5_000): TraceDetail {
  const t = at - 60_000
  const root = span('r', 'POST /import', t, t + 900, { traceId: HUGE_TRACE, kind: 'server' })
  const rest = Array.from({ length: spans - 1 }, (_, index) =>
    span(`c${index}`, `task import-row ${index}`, t + 900 + index * 11, t + 950 + index * 11, {
      traceId: HUGE_TRACE,
      parent: 'r',
      late: true,
      task: { name: 'import-row', id: `task_${index}`, attempt: 1, wait: index * 0.01, result: 'ok' },
    }),
  )
  return { traceId: HUGE_TRACE, respondedAt: t + 900, missing: 0, spans: [root, ...rest] }
}

export function traceRows(at: number): TraceRow[] {
  const row = (traceId: string, ago: number, given: Partial<TraceRow>): TraceRow => ({
    traceId,
    at: at - ago,
    title: 'POST /orders',
    route: '/orders',
    status: 202,
    duration: 2.65,
    tasks: ['send-receipt', 'warm-cache', 'notify-webhook'],
    failed: false,
    spans: 10,
    ...given,
  })
  return [
    row(RECEIPT_TRACE, 41_000, { failed: true }),
    row(LINKED_TRACE, 41_500, {
      title: 'process webhooks',
      route: null,
      status: null,
      tasks: ['notify-webhook'],
      spans: 2,
    }),
    row(HUGE_TRACE, 60_000, {
      title: 'POST /import',
      route: '/import',
      status: 200,
      tasks: ['import-row'],
      spans: 5_000,
      duration: 55.9,
    }),
    ...Array.from({ length: 40 }, (_, index) =>
      row((index + 1).toString(16).padStart(32, 'a'), 62_000 + index * 3_100, {
        title: index % 3 === 0 ? 'GET /report/:id' : 'POST /orders',
        route: index % 3 === 0 ? '/report/:id' : '/orders',
        status: index % 11 === 5 ? 500 : 202,
        failed: index % 11 === 5,
        duration: 0.05 * (index + 1),
        tasks: index % 3 === 0 ? ['write-audit-log'] : ['send-receipt', 'warm-cache'],
        spans: 4 + (index % 5),
      }),
    ),
  ]
}
