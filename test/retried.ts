import type { Reporter, TestModule } from 'vitest/node'

/** Names the tests that passed only when they were run again, so that none of them does so unseen. */
export class Retried implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const test of module.children.allTests('passed')) {
        if (test.diagnostic()?.flaky !== true) continue
        const [error] = test.result().errors ?? []
        console.log(`RUN AGAIN  ${module.relativeModuleId} > ${test.fullName}: ${error?.message.slice(0, 400) ?? ''}`)
      }
    }
  }
}
