import http from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import type { MeterProvider as ApiMeterProvider } from '@opentelemetry/api'
import { metricReader, metrics } from 'afterspan/metrics'
import { onTestFinished } from 'vitest'

interface Sdk {
  readonly MeterProvider: new (options: { readers: unknown[] }) => ApiMeterProvider & { shutdown(): Promise<void> }
}
const { MeterProvider } = createRequire(createRequire(import.meta.url).resolve('@opentelemetry/sdk-node'))(
  '@opentelemetry/sdk-metrics',
) as Sdk

export interface Served {
  readonly meterProvider: ApiMeterProvider
  readonly shutdown: () => Promise<void>
  get(
    headers?: Record<string, string>,
    method?: string,
  ): Promise<{ status: number; headers: http.IncomingHttpHeaders; body: Buffer }>
}

export const OPENMETRICS = { accept: 'application/openmetrics-text; version=1.0.0' }

/** An SDK with `metricReader()`, and `metrics()` on a free loopback port. */
export async function serveMetrics(): Promise<Served> {
  const reader = metricReader()
  const meterProvider = new MeterProvider({ readers: [reader] })
  const server = http.createServer(metrics({ reader }))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return {
    meterProvider,
    shutdown: () => meterProvider.shutdown(),
    get: (headers = {}, method = 'GET') =>
      new Promise((resolve, reject) => {
        const request = http.request({ port, host: '127.0.0.1', method, headers }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('end', () =>
            resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }),
          )
        })
        request.on('error', reject).end()
      }),
  }
}
