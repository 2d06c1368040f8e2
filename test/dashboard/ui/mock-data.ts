import type {
  AttemptRow,
  Frame,
  Now,
  ProfileDetail,
  Quantiles,
  TaskDetail,
  TaskRow,
  TelemetryHealth,
  UndeclaredRow,
  WaitingTask,
} from '../../../src/dashboard/protocol.ts'

/** Numbers that look random and are the same each time. */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296
    return state / 4_294_967_296
  }
}

export const NO_QUANTILES: Quantiles = { count: 0, p50: null, p95: null, p99: null, max: null }

export function quantiles(p50: number, count = 3_600): Quantiles {
  return { count, p50, p95: p50 * 3.1, p99: p50 * 6.4, max: p50 * 11 }
}

export function taskRow(name: string, given: Partial<TaskRow> = {}): TaskRow {
  const random = seeded(name.length * 7_919)
  return {
    name,
    mode: 'running',
    rate: 12.4,
    failureRatio: 0,
    failed: 0,
    retries: 0,
    wait: quantiles(0.0021),
    duration: quantiles(0.048),
    effect: quantiles(0.061),
    waiting: 0,
    oldest: null,
    running: 2,
    zombies: 0,
    sparkline: {
      completed: Array.from({ length: 60 }, (_, part) => Math.round(180 + 60 * Math.sin(part / 9) + 50 * random())),
      failed: Array.from({ length: 60 }, () => 0),
    },
    trouble: 0,
    reasons: [],
    ...given,
  }
}

const failedLately = (most: number) =>
  Array.from({ length: 60 }, (_, part) => (part < 41 ? 0 : Math.round(most * ((part - 40) / 20))))

export function tasks(): TaskRow[] {
  const sparkline = taskRow('send-receipt').sparkline
  return [
    taskRow('send-receipt', {
      failureRatio: 0.342,
      failed: 127,
      retries: 311,
      rate: 1.24,
      waiting: 1_204,
      oldest: 372,
      running: 4,
      wait: quantiles(41),
      duration: quantiles(0.9),
      effect: quantiles(44),
      sparkline: { completed: sparkline.completed, failed: failedLately(120) },
      trouble: 0.93,
      reasons: [
        '34.2 % of 371 failed in the last 5 minutes (limit 5 %)',
        'the oldest task has been ready for 372.0 s (limit 300 s)',
      ],
    }),
    taskRow('make-thumbnail', {
      waiting: 88,
      oldest: 64,
      running: 8,
      zombies: 2,
      rate: 3.1,
      duration: quantiles(1.7),
      effect: quantiles(9.2),
      wait: quantiles(6.1),
      trouble: 0.41,
      reasons: ['the oldest task has been ready for 64.0 s (limit 30 s)', '2 handlers run on after their timeout'],
    }),
    taskRow('notify-webhook', {
      failureRatio: 0.061,
      failed: 9,
      retries: 40,
      rate: 0.49,
      engine: { system: 'BullMQ', queue: 'webhooks', up: true },
      sparkline: { completed: sparkline.completed, failed: failedLately(6) },
      trouble: 0.22,
      reasons: ['6.1 % of 147 failed in the last 5 minutes (limit 5 %)'],
    }),
    taskRow('nightly-report', {
      mode: 'paused',
      waiting: 3,
      rate: 0,
      running: 0,
      failureRatio: null,
      wait: NO_QUANTILES,
      duration: NO_QUANTILES,
      effect: NO_QUANTILES,
      trouble: 0.1,
      reasons: ['paused, and 3 wait'],
      sparkline: { completed: Array(60).fill(0), failed: Array(60).fill(0) },
    }),
    taskRow('warm-cache', {
      rate: 84.2,
      duration: quantiles(0.0031),
      wait: quantiles(0.00021),
      effect: quantiles(0.0034),
    }),
    taskRow('write-audit-log', { rate: 31.7, duration: quantiles(0.0009), wait: quantiles(0.0001) }),
    taskRow('index-order', { engine: { system: 'pg-boss', queue: 'index-order', up: null }, rate: 6.02 }),
    taskRow('purge-sessions', { rate: 0.0028, failureRatio: 0 }),
  ]
}

export function now(at: number, given: Partial<Now> = {}): Now {
  return {
    at,
    state: 'open',
    uptime: 187_345,
    health: {
      status: 'unhealthy',
      reasons: [
        'send-receipt: the oldest task has been ready for 372.0 s (limit 300 s)',
        'send-receipt: 34.2 % of 371 failed in the last 5 minutes (limit 5 %)',
        '2 handlers run on after their timeout or cancellation and keep their slots',
      ],
    },
    concurrency: { limit: 16, used: 14 },
    queue: { limit: 10_000, waiting: 1_295 },
    governor: { delay: 0.031, maxLoopDelay: 0.02, limits: { high: 16, medium: 9, low: 2 }, holdsBack: true },
    heap: { used: 412e6, limit: 2.15e9, guarded: true },
    loop: {
      running: quantiles(0.0061),
      idle: quantiles(0.0004),
      blockers: [
        {
          task: 'make-thumbnail',
          seconds: 14.2,
          longest: 0.41,
          stalls: 212,
          place: 'encodeJpeg (src/thumbnail.ts:41)',
        },
        { task: 'send-receipt', seconds: 0.9, longest: 0.061, stalls: 14, place: null },
      ],
    },
    requests: { running: quantiles(0.019), idle: quantiles(0.0041) },
    tasks: tasks(),
    ...given,
  }
}

export function healthy(at: number): Now {
  const fine = ['send-receipt', 'make-thumbnail', 'notify-webhook', 'warm-cache', 'write-audit-log'].map((name) =>
    taskRow(name),
  )
  return now(at, {
    health: { status: 'ok', reasons: [] },
    concurrency: { limit: 16, used: 5 },
    queue: { limit: null, waiting: 0 },
    governor: null,
    heap: { used: 96e6, limit: 2.15e9, guarded: false },
    loop: { running: quantiles(0.0009), idle: quantiles(0.0003), blockers: [] },
    tasks: fine,
  })
}

export function empty(at: number): Now {
  return now(at, {
    uptime: 3,
    health: { status: 'ok', reasons: [] },
    concurrency: { limit: 128, used: 0 },
    queue: { limit: null, waiting: 0 },
    governor: null,
    heap: { used: 41e6, limit: 2.15e9, guarded: false },
    loop: { running: NO_QUANTILES, idle: NO_QUANTILES, blockers: [] },
    requests: { running: NO_QUANTILES, idle: NO_QUANTILES },
    tasks: [],
  })
}

export function huge(at: number): Now {
  const many = Array.from({ length: 1_000 }, (_, index) =>
    taskRow(`task-${String(index).padStart(4, '0')}`, {
      waiting: index === 0 ? 10_000 : index % 7,
      trouble: index < 3 ? 0.2 : 0,
    }),
  )
  return now(at, { tasks: many })
}

const TRACE_IDS = [
  '0af7651916cd43dd8448eb211c80319c',
  '4bf92f3577b34da6a3ce929d0e0e4736',
  '7b1f0c3d9e2a48f5b6c7d8e9f0a1b2c3',
]

export function attempt(index: number, at: number, given: Partial<AttemptRow> = {}): AttemptRow {
  return {
    id: `task_${(index * 7_919 + 104_729).toString(36)}`,
    attempt: 1,
    at: at - index * 4_300,
    wait: 0.012 * (index + 1),
    duration: 0.31 * (index + 1),
    result: 'ok',
    error: null,
    route: '/orders/:id',
    traceId: TRACE_IDS[index % 3]!,
    profile: null,
    ...given,
  }
}

const STACK = `SmtpError: 451 4.3.0 Temporary server error
    at Connection.onError (/app/node_modules/smtp/connection.js:214:18)
    at sendReceipt (/app/src/mail.ts:58:11)
    at async run (/app/src/tasks.ts:12:3)`

export function taskDetail(row: TaskRow, range: number, at: number): TaskDetail {
  const random = seeded(range)
  const parts = 180
  const step = range / parts
  const first = Math.floor(at / 1000 / step) * step - (parts - 1) * step
  const times = Array.from({ length: parts }, (_, part) => first + part * step)
  const line = (value: (part: number) => number | null) => times.map((_, part) => value(part))
  const wave = (size: number) => line((part) => size * (1 + 0.3 * Math.sin(part / 14) + 0.2 * random()))
  const rising = (size: number) => line((part) => (part < 118 ? size * 0.02 * random() : (size * (part - 118)) / 62))
  const three = (p50: number | null) => ({
    p50: wave(p50 ?? 0),
    p95: wave((p50 ?? 0) * 3.1),
    p99: wave((p50 ?? 0) * 6.4),
  })
  const failing = row.failed > 0
  const detail: TaskDetail = {
    row,
    options: { priority: 'high', concurrency: 4, timeout: 30, attempts: 5, batch: null },
    charts: {
      times,
      completed: wave(row.rate),
      failed: failing ? rising(row.rate * 0.5) : line(() => 0),
      retries: failing ? rising(row.rate) : line(() => 0),
      waiting: failing ? rising(row.waiting) : wave(row.waiting),
      running: wave(row.running),
      wait: three(row.wait.p50),
      duration: three(row.duration.p50),
      effect: three(row.effect.p50),
    },
    histogram: {
      bounds: Array.from({ length: 24 }, (_, bound) => 0.001 * 1.6 ** bound),
      counts: Array.from({ length: 24 }, (_, bound) =>
        bound < 7 || bound > 20 ? 0 : Math.round(900 * Math.exp(-((bound - 12) ** 2) / 9) + (bound > 17 ? 140 : 0)),
      ),
    },
    errors: failing
      ? [
          {
            type: 'SmtpError',
            count: 103,
            lastAt: at - 2_000,
            example: {
              message: '451 4.3.0 Temporary server error',
              stack: STACK,
              traceId: TRACE_IDS[0]!,
              id: 'task_2bq9',
            },
          },
          {
            type: 'TimeoutError',
            count: 24,
            lastAt: at - 31_000,
            example: {
              message: 'The attempt took longer than 30,000 ms.',
              stack: null,
              traceId: TRACE_IDS[1]!,
              id: 'task_2bqa',
            },
          },
        ]
      : [],
    slowest: Array.from({ length: 6 }, (_, index) =>
      attempt(index, at, {
        duration: 29.9 - index * 2.7,
        profile: index === 1 ? 'p1' : null,
        attempt: (index % 3) + 1,
      }),
    ),
    latest: Array.from({ length: 8 }, (_, index) =>
      attempt(
        index,
        at,
        failing && index % 3 === 0
          ? { result: 'error', error: 'SmtpError: 451 4.3.0 Temporary server error' }
          : failing && index === 4
            ? { result: 'timeout', error: 'TimeoutError', traceId: null, route: null }
            : {},
      ),
    ),
    failed: failing
      ? [
          {
            id: 'task_2bq9',
            at: at - 2_000,
            attempts: 5,
            error: 'SmtpError: 451 4.3.0 Temporary server error',
            traceId: TRACE_IDS[0]!,
            retryable: true,
          },
          {
            id: 'task_2bqa',
            at: at - 31_000,
            attempts: 5,
            error: 'TimeoutError: The attempt took longer than 30,000 ms.',
            traceId: null,
            retryable: false,
          },
        ]
      : [],
  }
  return detail
}

export function waiting(task: string, total: number, at: number): WaitingTask[] {
  const states = ['ready', 'ready', 'retrying', 'ready', 'delayed', 'held'] as const
  return Array.from({ length: total }, (_, index) => {
    const state = states[index % states.length]!
    return {
      id: `task_${index.toString(36).padStart(6, '0')}`,
      task,
      state,
      priority: index % 9 === 0 ? 'low' : 'high',
      deferredAt: at - (total - index) * 310,
      due: state === 'retrying' || state === 'delayed' ? at + 1_000 * (index + 5) : null,
      attempt: state === 'retrying' ? 2 : 1,
      route: index % 5 === 4 ? null : 'POST /orders/:id/receipt',
      traceId: index % 4 === 3 ? null : TRACE_IDS[index % 3]!,
      payload: `{"order":${1_000 + index},"to":"a…@example.org"}`,
    }
  })
}

export function undeclared(): UndeclaredRow[] {
  return [
    {
      route: 'POST /orders',
      span: 'POST https://hooks.example.org/crm',
      count: 4_182,
      total: 1_311,
      max: 9.4,
      traceId: TRACE_IDS[1]!,
      suggestion: 'req.defer(postToCrm, order)   // instead of: void postToCrm(order)',
    },
    {
      route: 'GET /report/:id',
      span: 'pg.query:INSERT audit',
      count: 312,
      total: 4.1,
      max: 0.22,
      traceId: TRACE_IDS[0]!,
      suggestion: "tasks.track('insert-audit', insertAudit(row))",
    },
  ]
}

export function telemetry(): TelemetryHealth {
  return {
    lost: [
      { reason: 'queue full', count: 0 },
      { reason: 'collector unreachable', count: 1_920 },
    ],
    capped: [{ reason: 'http.route', count: 14 }],
    caught: [{ reason: 'onError hook', count: 2 }],
    sampled: [{ reason: 'head', count: 90_211 }],
    kept: { spans: 18_211, traces: 2_903, bytes: 11_900_000, limit: 24_000_000 },
    tracing: true,
    ledger: {
      line: 'deferred 48,211 = completed 46,590 + failed 127 + cancelled 8 + dropped 0 + handed_off 190 + held 2 + delayed 41 + ready 1,204 + running 14 + retrying 35',
      balanced: true,
    },
  }
}

const frame = (name: string, file: string | null, line: number | null, self: number, ...children: Frame[]): Frame => ({
  name,
  file,
  line,
  value: self + children.reduce((sum, child) => sum + child.value, 0),
  children,
})

export function profile(task: string): ProfileDetail {
  const root = frame(
    task,
    null,
    null,
    0,
    frame(
      'makeThumbnail',
      'src/thumbnail.ts',
      12,
      0.2,
      frame(
        'decode',
        'src/thumbnail.ts',
        24,
        0.4,
        frame('readHeader', 'src/jpeg.ts', 8, 0.3),
        frame('inflate', null, null, 3.1),
        frame('(garbage collector)', null, null, 0.8),
      ),
      frame(
        'encodeJpeg',
        'src/thumbnail.ts',
        41,
        5.2,
        frame('quantise', 'src/jpeg.ts', 71, 2.4),
        frame('huffman', 'src/jpeg.ts', 133, 1.6, frame('writeBits', 'src/jpeg.ts', 160, 0.7)),
      ),
      frame('upload', 'src/store.ts', 7, 0.1, frame('sign', 'src/store.ts', 31, 0.5)),
    ),
    frame('processTicksAndRejections', 'node:internal/process/task_queues', 105, 0.4),
  )
  return {
    task,
    seconds: 300,
    busy: root.value,
    cpu: root.value * 0.98,
    samples: 1_540,
    top: [
      { name: 'encodeJpeg', file: 'src/thumbnail.ts', line: 41, self: 5.2, total: 9.9 },
      { name: 'inflate', file: null, line: null, self: 3.1, total: 3.1 },
      { name: 'quantise', file: 'src/jpeg.ts', line: 71, self: 2.4, total: 2.4 },
      { name: 'huffman', file: 'src/jpeg.ts', line: 133, self: 1.6, total: 2.3 },
      { name: 'writeBits', file: 'src/jpeg.ts', line: 160, self: 0.7, total: 0.7 },
    ],
    root,
  }
}
