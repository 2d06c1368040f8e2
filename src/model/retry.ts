/** When a failed attempt is made again: resolved options, the decision, the backoff, the budget. */

import { Abandon, AfterspanError, RetryAfter } from './errors.ts'

export interface RetryBudget {
  /** Retries allowed per first attempt, on average: 0.2 lets an outage add a fifth to the load. */
  readonly ratio: number
  /** Retries allowed per second whatever the load, so that rare tasks can be retried. */
  readonly perSecond: number
  /** How many unused retries are saved up; this many may come at once. */
  readonly reserve: number
}

export interface RetryPlan {
  /** Runs in all, the first included. */
  readonly attempts: number
  /** Upper bound of the first backoff, ms. */
  readonly initial: number
  readonly factor: number
  /** Upper bound of every backoff, ms. */
  readonly max: number
  readonly retryIf: ((error: unknown) => boolean) | undefined
  /** `undefined`: no limit. */
  readonly budget: RetryBudget | undefined
}

/**
 * How long to wait before the attempt after `attempt`, ms; undefined when there is to be none, by the error, the number of
 * attempts, or `retryIf`.
 *
 * @param random From 0 up to, not including, 1.
 * @param hookThrew Told when `retryIf` throws, which means no.
 */
export function delayBeforeRetry(
  plan: RetryPlan,
  attempt: number,
  error: unknown,
  random: () => number,
  hookThrew: (error: unknown) => void,
): number | undefined {
  if (attempt >= plan.attempts || is(error, Abandon) || isHopeless(error)) return undefined
  try {
    if (plan.retryIf !== undefined && !plan.retryIf(error)) return undefined
  } catch (thrown) {
    hookThrew(thrown)
    return undefined
  }
  return is(error, RetryAfter) ? error.delay : backoff(plan, attempt, random())
}

/** A wrong payload does not get better, nor does a task that is not known, or that ends its processes. */
const HOPELESS: readonly string[] = ['ERR_AFTERSPAN_PAYLOAD', 'ERR_AFTERSPAN_UNKNOWN_TASK', 'ERR_AFTERSPAN_REDELIVERED']

function isHopeless(error: unknown): boolean {
  return is(error, AfterspanError) && HOPELESS.includes(error.code)
}

/** `instanceof` for things that were thrown, some of which are Proxies whose traps throw. */
function is<T>(thrown: unknown, type: abstract new (...args: never[]) => T): thrown is T {
  try {
    return thrown instanceof type
  } catch {
    return false
  }
}

/**
 * The backoff before the attempt after `attempt`, ms: exponential with full jitter, that is evenly distributed between 0
 * and min(max, initial · factor^(attempt - 1)). Full jitter spreads the retries of many clients best (M. Brooker,
 * "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 *
 * @param attempt The attempt that has failed, from 1.
 * @param random A number from 0 up to, not including, 1.
 */
export function backoff(plan: RetryPlan, attempt: number, random: number): number {
  return random * Math.min(plan.max, plan.initial * plan.factor ** (attempt - 1))
}

/**
 * How many retries a task may still make: a token bucket, as in Finagle's RetryBudget. Each first attempt puts `ratio`
 * tokens in, time puts `perSecond` in, a retry takes one out; it holds at most `reserve`, and starts full.
 */
export class RetryTokens {
  readonly #budget: RetryBudget
  #tokens: number
  #filledAt: number

  constructor(budget: RetryBudget, now: number) {
    this.#budget = budget
    this.#tokens = budget.reserve
    this.#filledAt = now
  }

  /** A first attempt was made. */
  deposit(): void {
    this.#tokens = Math.min(this.#budget.reserve, this.#tokens + this.#budget.ratio)
  }

  /** Takes the token for one retry; false when there is none. */
  withdraw(now: number): boolean {
    const earned = ((now - this.#filledAt) / 1000) * this.#budget.perSecond
    this.#tokens = Math.min(this.#budget.reserve, this.#tokens + Math.max(0, earned))
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
