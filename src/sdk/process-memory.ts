import type { MeterProvider } from '@opentelemetry/api'
import { SCOPE } from '../telemetry/catalogue.ts'

/**
 * Reports the resident memory of the process under the name of the semantic conventions for process metrics, since
 * `@opentelemetry/instrumentation-runtime-node` has the heap alone.
 */
export function observeMemory(provider: MeterProvider): void {
  const usage = provider.getMeter(SCOPE).createObservableUpDownCounter('process.memory.usage', {
    unit: 'By',
    description: 'The amount of physical memory in use.',
  })
  usage.addCallback((result) => result.observe(process.memoryUsage.rss()))
}
