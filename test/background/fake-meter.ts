import type { DelayMeter } from '../../src/telemetry/loop-delay.ts'

/** Says of the event loop's delay what a test wants. */
export class FakeMeter implements DelayMeter {
  #tell: ((delay: number, ms: number) => void) | undefined

  get measuring(): boolean {
    return this.#tell !== undefined
  }

  start(tell: (delay: number, ms: number) => void): void {
    this.#tell = tell
  }

  stop(): void {
    this.#tell = undefined
  }

  /** Both in ms. */
  report(delay: number, ms = 200): void {
    this.#tell?.(delay, ms)
  }
}
