import { type Context, ROOT_CONTEXT, type Span, SpanKind, trace } from '@opentelemetry/api'
import { TracerProvider } from '@opentelemetry/sdk-trace'
import { UndeclaredSpans } from 'afterspan/sdk'
import { createInMemoryTelemetry } from 'afterspan/testing'
import { expect, test } from 'vitest'
import { UndeclaredWork } from '../../src/telemetry/undeclared.ts'

const START = Date.now()

function set(margin?: number) {
  const lines: string[] = []
  const work = new UndeclaredWork()
  const { meterProvider, collect } = createInMemoryTelemetry()
  const notice = (line: string) => lines.push(line)
  const processor = new UndeclaredSpans({ work, notice, meterProvider, ...(margin !== undefined && { margin }) })
  const provider = new TracerProvider({ spanProcessors: [processor] })
  const start = (name: string, at: number, parent?: Span | Context, options = {}, scope = 'app'): Span => {
    const context =
      parent === undefined
        ? ROOT_CONTEXT
        : 'spanContext' in parent
          ? trace.setSpan(ROOT_CONTEXT, parent as Span)
          : (parent as Context)
    return provider.getTracer(scope).startSpan(name, { startTime: START + at, ...options }, context)
  }
  const server = (route?: string) =>
    start('POST', 0, undefined, {
      kind: SpanKind.SERVER,
      ...(route !== undefined && { attributes: { 'http.route': route } }),
    })
  return { work, lines, collect, start, server, end: (span: Span, at: number) => span.end(START + at) }
}

test('a span that ends after its request is reported, with its route, its time after the response, and once in the log', () => {
  const { work, lines, start, server, end } = set()
  for (let n = 0; n < 3; n++) {
    const request = server('/orders')
    const audit = start('insert audit', 5, request)
    end(request, 20)
    end(audit, 520)
  }
  expect(work.read()).toMatchObject([{ route: '/orders', span: 'insert audit', count: 3, total: 1.5, max: 0.5 }])
  expect(lines).toEqual([
    expect.stringMatching(
      /^undeclared background work: "insert audit" went on until 500 ms after the response of \/orders\./,
    ),
  ])
})

test('one that begins after the response counts from its own start', () => {
  const { work, start, server, end } = set()
  const request = server('/orders')
  end(request, 20)
  end(start('later', 1_020, request), 1_120)
  expect(work.read()).toMatchObject([{ span: 'later', total: 0.1 }])
})

test('spans that end with the response, or within the margin after it, are not', () => {
  const { work, start, server, end } = set()
  const request = server('/stream')
  const streamed = start('read file', 1, request)
  const finish = start('on finish', 18, request)
  end(streamed, 19)
  end(request, 20)
  end(finish, 30)
  expect(work.read()).toEqual([])
  const wide = set(1_000)
  const slow = wide.server()
  const late = wide.start('late', 1, slow)
  wide.end(slow, 20)
  wide.end(late, 1_019)
  expect(wide.work.read()).toEqual([])
})

test('what a task does is declared, whatever it calls, and so is what it starts', () => {
  const { work, start, server, end } = set()
  const request = server('/orders')
  const task = start('task mail', 25, request, {}, 'afterspan')
  const smtp = start('SMTP', 26, task)
  const dns = start('dns', 27, smtp)
  end(request, 20)
  end(dns, 300)
  end(smtp, 400)
  end(task, 401)
  end(start('floating in the task', 500, task), 600)
  expect(work.read()).toEqual([])
})

test('of spans that enclose one another the outermost is the one to wrap', () => {
  const { work, start, server, end } = set()
  const request = server('/orders')
  const outer = start('audit', 5, request)
  const inner = start('INSERT', 6, outer)
  end(request, 20)
  end(inner, 100)
  end(outer, 110)
  expect(work.read().map(({ span }) => span)).toEqual(['audit'])
  // What goes on after the one around it has ended is on its own.
  const second = server('/orders')
  const quick = start('handler', 1, second)
  const slow = start('webhook', 2, quick)
  end(quick, 10)
  end(second, 20)
  end(slow, 220)
  expect(
    work
      .read()
      .map(({ span }) => span)
      .sort(),
  ).toEqual(['audit', 'webhook'])
})

test('spans outside of a request, in traces of their own, and of other requests are not its work', () => {
  const { work, start, server, end } = set()
  const first = server('/a')
  end(first, 20)
  // Its own trace, though the request's context is active.
  end(start('root', 100, trace.setSpan(ROOT_CONTEXT, first), { root: true }), 300)
  end(start('cron', 100), 300)
  // A second request over the same connection, while the first one's context is around.
  const second = start('POST', 100, first, { kind: SpanKind.SERVER, attributes: { 'http.route': '/b' } })
  const query = start('query', 110, second)
  end(query, 120)
  end(second, 130)
  // A request that this process makes to another one, which has its own SERVER span.
  const remote = trace.setSpanContext(ROOT_CONTEXT, { ...first.spanContext(), isRemote: true })
  end(start('elsewhere', 100, remote), 900)
  expect(work.read()).toEqual([])
})

test('is a histogram by route and span, whose names are bounded', async () => {
  const { start, server, end, work, collect } = set()
  for (let n = 0; n < 250; n++) {
    const request = server('/orders')
    const span = start(`query ${n}`, 5, request)
    end(request, 20)
    end(span, 120)
  }
  expect(work.read()).toHaveLength(201)
  const { scopeMetrics } = await collect()
  const metric = scopeMetrics
    .flatMap(({ metrics }) => metrics)
    .find(({ descriptor }) => descriptor.name === 'afterspan.undeclared.duration')
  expect(metric?.dataPoints).toHaveLength(201)
  expect(metric?.dataPoints[0]?.attributes).toEqual({ 'http.route': '/orders', 'span.name': 'query 0' })
})
