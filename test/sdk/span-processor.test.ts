import { type SpanContext, TraceFlags } from '@opentelemetry/api'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { ExportResult, ReadableSpan, SpanExporter } from '../../src/sdk/sdk-types.ts'
import { BurstSpanProcessor, type BurstSpanProcessorOptions, defaultQueueSize } from '../../src/sdk/span-processor.ts'
import { METRICS } from '../../src/telemetry/catalogue.ts'
import { SelfHealth } from '../../src/telemetry/self-health.ts'

/** Answers when told to, or at once, or after so many (simulated) milliseconds. */
class FakeExporter implements SpanExporter {
  readonly received: string[] = []
  readonly pending: ((result: ExportResult) => void)[] = []
  batches = 0
  mostAtOnce = 0
  answer: 'later' | 'never' | 'fail' | number = 0
  #open = 0

  export(spans: ReadableSpan[], callback: (result: ExportResult) => void): void {
    this.batches++
    this.#open++
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#open)
    const respond = (result: ExportResult) => {
      this.#open--
      if (result.code === 0) for (const span of spans) this.received.push(span.name)
      callback(result)
    }
    if (this.answer === 'never') return
    if (this.answer === 'fail') setTimeout(() => respond({ code: 1, error: new Error('connect ECONNREFUSED') }), 10)
    else if (this.answer === 'later') this.pending.push(respond)
    else setTimeout(() => respond({ code: 0 }), this.answer)
  }

  async shutdown(): Promise<void> {}
}

let exporter: FakeExporter
let health: SelfHealth
let said: string[]

beforeEach(() => {
  vi.useFakeTimers()
  exporter = new FakeExporter()
  health = new SelfHealth()
  said = []
})
afterEach(() => {
  vi.useRealTimers()
})

function processor(options: Partial<BurstSpanProcessorOptions> = {}): BurstSpanProcessor {
  return new BurstSpanProcessor({
    exporter,
    health,
    notice: (line) => said.push(line),
    endpoint: 'http://jaeger',
    probe: async () => undefined,
    ...options,
  })
}

let serial = 0
function span(flags = TraceFlags.SAMPLED): ReadableSpan {
  const context: SpanContext = { traceId: '1'.repeat(32), spanId: '2'.repeat(16), traceFlags: flags }
  return { name: `span ${serial++}`, spanContext: () => context, resource: {} } as unknown as ReadableSpan
}

function end(target: BurstSpanProcessor, count: number): string[] {
  const spans = Array.from({ length: count }, () => span())
  for (const each of spans) target.onEnd(each)
  return spans.map((each) => each.name)
}

const lost = (reason: string) => health.count(METRICS.telemetryLost.name, reason)

test('a burst in one turn arrives whole and in order, several batches at a time but no more than maxInFlight', async () => {
  exporter.answer = 100
  const target = processor({ maxExportBatchSize: 100, maxInFlight: 4, maxQueueSize: 10_000 })
  const names = end(target, 2_050)
  expect(exporter.batches).toBe(0)
  const flushed = target.forceFlush()
  await vi.advanceTimersByTimeAsync(1_000)
  await flushed
  expect(exporter.received).toEqual(names)
  expect(exporter.mostAtOnce).toBe(4)
  expect(said).toEqual([])
})

test('3,000 spans a second reach a collector that answers in 100 ms, all of them', async () => {
  exporter.answer = 100
  const target = processor({ maxQueueSize: 2_048 })
  const names: string[] = []
  for (let tenth = 0; tenth < 100; tenth++) {
    names.push(...end(target, 300))
    await vi.advanceTimersByTimeAsync(100)
  }
  await vi.advanceTimersByTimeAsync(6_000)
  expect(exporter.received).toEqual(names)
  expect([lost('queue_full'), lost('export_failed')]).toEqual([0, 0])
})

test('spans that are not sampled are not sent', async () => {
  const target = processor()
  target.onEnd(span(TraceFlags.NONE))
  await target.forceFlush()
  expect(exporter.batches).toBe(0)
})

test('a batch that does not fill is sent after the delay', async () => {
  const target = processor({ scheduledDelayMillis: 5_000 })
  end(target, 3)
  await vi.advanceTimersByTimeAsync(4_990)
  expect(exporter.batches).toBe(0)
  await vi.advanceTimersByTimeAsync(100)
  expect(exporter.received).toHaveLength(3)
})

test('what does not fit into the queue is counted and said once; everything is accounted for', async () => {
  exporter.answer = 50
  const target = processor({ maxQueueSize: 1_000, maxExportBatchSize: 100 })
  end(target, 5_000)
  const flushed = target.forceFlush()
  await vi.advanceTimersByTimeAsync(5_000)
  await flushed
  expect(lost('queue_full')).toBe(4_000)
  expect(exporter.received).toHaveLength(1_000)
  expect(said).toHaveLength(1)
  expect(said[0]).toContain('OTEL_BSP_MAX_QUEUE_SIZE')
})

test('a collector that is away is tried with one batch at a time, said once, and once more when it is back', async () => {
  exporter.answer = 'fail'
  const target = processor({ maxQueueSize: 10_000, maxExportBatchSize: 100, maxInFlight: 4 })
  end(target, 5_000)
  await vi.advanceTimersByTimeAsync(120_000)
  const tries = exporter.batches
  expect(tries).toBeLessThan(20)
  expect(said).toHaveLength(1)
  expect(said[0]).toContain('ECONNREFUSED')
  expect(said[0]).toContain('http://jaeger')

  exporter.answer = 10
  await vi.advanceTimersByTimeAsync(60_000)
  expect(said).toHaveLength(2)
  expect(said[1]).toContain(`${lost('export_failed')} were lost`)
  expect(exporter.received.length + lost('export_failed')).toBe(5_000)
})

test('a collector that comes and goes does not fill the log', async () => {
  const target = processor({ maxExportBatchSize: 10 })
  for (let round = 0; round < 10; round++) {
    exporter.answer = 'fail'
    end(target, 10)
    await vi.advanceTimersByTimeAsync(2_000)
    exporter.answer = 10
    end(target, 10)
    await vi.advanceTimersByTimeAsync(2_000)
  }
  expect(said.length).toBeLessThanOrEqual(2)
})

test('a collector that never answers gives its slot back after the time limit', async () => {
  exporter.answer = 'never'
  const target = processor({ maxExportBatchSize: 10, maxInFlight: 2, exportTimeoutMillis: 30_000 })
  end(target, 100)
  await vi.advanceTimersByTimeAsync(31_000)
  expect(lost('export_failed')).toBe(20)
  expect(said).toHaveLength(1)
  exporter.answer = 10
  await vi.advanceTimersByTimeAsync(60_000)
  expect(exporter.received).toHaveLength(80)
})

test('an answer after the time limit changes no count', async () => {
  exporter.answer = 'later'
  const target = processor({ maxExportBatchSize: 10, exportTimeoutMillis: 1_000 })
  end(target, 10)
  await vi.advanceTimersByTimeAsync(1_100)
  exporter.pending[0]!({ code: 1, error: new Error('late') })
  expect(lost('export_failed')).toBe(10)
})

test('an exporter that throws loses its batch, counted, and harms nothing', async () => {
  exporter.export = () => {
    throw new Error('cannot serialise')
  }
  const target = processor({ maxExportBatchSize: 10 })
  end(target, 10)
  await vi.advanceTimersByTimeAsync(100)
  expect(lost('export_failed')).toBe(10)
  expect(said[0]).toContain('cannot serialise')
})

test('forceFlush waits for what had ended before it, not for what ends later', async () => {
  exporter.answer = 'later'
  const target = processor({ maxExportBatchSize: 10 })
  end(target, 5)
  let flushed = false
  const flush = target.forceFlush().then(() => {
    flushed = true
  })
  await vi.advanceTimersByTimeAsync(1)
  end(target, 10)
  await vi.advanceTimersByTimeAsync(1)
  exporter.pending[1]!({ code: 0 })
  await vi.advanceTimersByTimeAsync(1)
  expect(flushed).toBe(false)
  exporter.pending[0]!({ code: 0 })
  await flush
  expect(flushed).toBe(true)
})

test('forceFlush and shutdown end within their limit, and what is not sent is counted as shutdown', async () => {
  exporter.answer = 'never'
  const target = processor({ maxExportBatchSize: 10, maxInFlight: 2, exportTimeoutMillis: 3_000 })
  end(target, 55)
  const closed = target.shutdown()
  await vi.advanceTimersByTimeAsync(3_200)
  await closed
  expect(lost('shutdown') + lost('export_failed')).toBe(55)
  target.onEnd(span())
  expect(lost('shutdown') + lost('export_failed')).toBe(56)
})

test('one refused batch does not cost the others their place in a shutdown', async () => {
  exporter.answer = 'later'
  const target = processor({ maxExportBatchSize: 10, maxInFlight: 1 })
  end(target, 30)
  const closed = target.shutdown()
  await vi.advanceTimersByTimeAsync(1)
  exporter.answer = 10
  exporter.pending[0]!({ code: 1, error: new Error('400') })
  await vi.advanceTimersByTimeAsync(1_000)
  await closed
  expect(exporter.received).toHaveLength(20)
  expect([lost('export_failed'), lost('shutdown')]).toEqual([10, 0])
})

test('where nothing listens a flush gives up at once, and that is said once; what is not sent is counted', async () => {
  exporter.answer = 'never'
  const target = processor({ probe: async () => new Error('connect ECONNREFUSED') })
  end(target, 30)
  await target.forceFlush()
  await target.forceFlush()
  await target.shutdown()
  expect(said).toHaveLength(1)
  expect(said[0]).toContain('spans do not reach http://jaeger (connect ECONNREFUSED)')
  expect(lost('shutdown')).toBe(30)
})

test('a collector that has answered is not probed', async () => {
  const probe = vi.fn(async () => new Error('no'))
  const target = processor({ probe, scheduledDelayMillis: 1 })
  end(target, 1)
  await vi.advanceTimersByTimeAsync(10)
  expect(exporter.received).toHaveLength(1)
  end(target, 1)
  const flushed = target.forceFlush()
  await vi.advanceTimersByTimeAsync(10)
  await flushed
  expect(probe).not.toHaveBeenCalled()
  expect(exporter.received).toHaveLength(2)
})

test('the queue is bounded by the heap limit', () => {
  expect(defaultQueueSize(16 * 2 ** 20)).toBe(2_048)
  expect(defaultQueueSize(2 * 2 ** 30)).toBe(262_144)
  expect(defaultQueueSize(64 * 2 ** 30)).toBe(1_000_000)
})
