import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { Retried } from './test/retried.ts'

const source = (path: string) => fileURLToPath(new URL(`./src/${path}`, import.meta.url))

/** Unit tests read the sources; integration tests use the built package, as a user's app would. */
const alias = [
  { find: /^afterspan$/, replacement: source('index.ts') },
  { find: /^afterspan\/register$/, replacement: source('sdk/register.ts') },
  { find: /^afterspan\/(bullmq|pg-boss)$/, replacement: source('engines/$1/index.ts') },
  { find: /^afterspan\/(.+)$/, replacement: source('$1/index.ts') },
]

export default defineConfig({
  test: {
    reporters: ['default', new Retried()],
    projects: [
      {
        resolve: { alias },
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/integration/**', 'test/architecture.test.ts'],
        },
      },
      { test: { name: 'architecture', include: ['test/architecture.test.ts'] } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
          // These have real servers, processes that are killed, and a machine that others use. What needs a second run is named.
          retry: process.env.CI === 'true' ? 1 : 0,
        },
      },
    ],
  },
})
