import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A span, as far as it is drawn. Times in ms. */
export interface SeenSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parent: string | undefined
  readonly service: string
  readonly name: string
  readonly start: number
  readonly end: number
  readonly failed: boolean
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
}

const KEPT = 20_000
const JAEGER_PORT = 16686

/**
 * Takes the spans of both processes over OTLP/HTTP, keeps the latest to draw one trace of them, and hands all on to the
 * collector that is meant by the environment, if there is one: the demo needs no Jaeger, and a Jaeger misses nothing.
 */
export class Collector {
  readonly url: string
  /** The page of a Jaeger that gets the spans; undefined where nobody takes them. */
  readonly jaeger: string | undefined
  readonly spans: SeenSpan[] = []
  readonly #server: Server
  readonly #handing = new Set<Promise<unknown>>()

  static async start(env: NodeJS.ProcessEnv): Promise<Collector> {
    const endpoint = (env.OTEL_EXPORTER_OTLP_ENDPOINT ?? 'http://localhost:4318').replace(/\/$/, '')
    const target = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? `${endpoint}/v1/traces`
    const empty = { method: 'POST', body: '{"resourceSpans":[]}', headers: { 'content-type': 'application/json' } }
    const there = await fetch(target, { ...empty, signal: AbortSignal.timeout(1_000) }).then(
      (response) => response.ok,
      () => false,
    )
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new Collector(server, there ? target : undefined)
  }

  private constructor(server: Server, target: string | undefined) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.jaeger = target && `http://${new URL(target).hostname}:${JAEGER_PORT}`
    server.on('request', async (req, res) => {
      const chunks: Buffer[] = []
      try {
        for await (const chunk of req) chunks.push(chunk)
        const body = Buffer.concat(chunks)
        this.#keep(JSON.parse(body.toString()) as Export)
        if (target !== undefined) this.#handOn(target, body)
        res.setHeader('content-type', 'application/json').end('{}')
      } catch {
        res.writeHead(400).end()
      }
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#handing)
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #handOn(target: string, body: Buffer<ArrayBuffer>): void {
    const headers = { 'content-type': 'application/json' }
    const handing = fetch(target, { method: 'POST', body, headers, signal: AbortSignal.timeout(5_000) })
      .catch(() => {})
      .finally(() => this.#handing.delete(handing))
    this.#handing.add(handing)
  }

  #keep({ resourceSpans }: Export): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      const service = String(attributesOf(resource.attributes)['service.name'])
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) this.spans.push(read(span, service))
    }
    if (this.spans.length > KEPT) this.spans.splice(0, this.spans.length - KEPT)
  }
}

interface Attribute {
  readonly key: string
  readonly value: { stringValue?: string; intValue?: number | string; doubleValue?: number; boolValue?: boolean }
}

interface SentSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes?: readonly Attribute[]
  readonly links?: readonly { traceId: string; spanId: string }[]
  readonly status?: { code?: number }
}

interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] }
    readonly scopeSpans: readonly { readonly spans: readonly SentSpan[] }[]
  }[]
}

const ERROR = 2

function read(span: SentSpan, service: string): SeenSpan {
  const { traceId, spanId, parentSpanId, name, attributes = [], links = [], status } = span
  return {
    traceId,
    spanId,
    parent: parentSpanId || undefined,
    service,
    name,
    start: Number(span.startTimeUnixNano) / 1e6,
    end: Number(span.endTimeUnixNano) / 1e6,
    failed: status?.code === ERROR,
    attributes: attributesOf(attributes),
    links,
  }
}

function attributesOf(attributes: readonly Attribute[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    attributes.map(({ key, value: { stringValue, intValue, doubleValue, boolValue } }) => [
      key,
      stringValue ?? doubleValue ?? boolValue ?? Number(intValue),
    ]),
  )
}
