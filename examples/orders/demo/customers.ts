import { setTimeout as sleep } from 'node:timers/promises'
import { CARDS } from '../bank.ts'
import { CATALOGUE, type Item, type OrderForm } from '../order-form.ts'
import type { Order, OrderState } from '../orders.ts'

/** How an order must end. */
export type End = Extract<OrderState, 'paid' | 'declined' | 'unpaid' | 'cancelled'>

/** What the customers have seen over HTTP, and nothing else: the truth that everything is held against. */
export interface Seen {
  /** Orders answered with 202, by the end that they must have. */
  readonly accepted: Readonly<Record<End, number>>
  /** Orders that have it, by what `GET /orders/:id` says. */
  readonly right: number
  /** Cents that must be charged. */
  readonly due: number
  /** Answers 503: nothing may be charged. The customer tries again. */
  readonly turnedAway: number
  /** Answers 400. */
  readonly rejected: number
  /** Answers that were not as they must be. */
  readonly surprises: readonly string[]
}

interface Plan {
  readonly form: Omit<OrderForm, 'card'> & { readonly card: string }
  readonly end: End | 'rejected'
}

const ITEMS = Object.keys(CATALOGUE) as Item[]
const POLL = 200
const TRY_AGAIN = 150
/** How long one customer tries, ms. */
const PATIENCE = 30_000
/** What is cancelled is paid for much later, so that no charge has begun. Seconds. */
const MUCH_LATER = 600

/** Of twenty orders one each is declined, unpaid, cancelled and wrong. */
function plan(n: number): Plan {
  const item = ITEMS[n % ITEMS.length]!
  const form = { customer: `customer-${n}@example.com`, item, quantity: 1 + (n % 3), card: CARDS.good, payIn: 0 }
  switch (n % 20) {
    case 3:
      return { form: { ...form, card: CARDS.declined }, end: 'declined' }
    case 6:
      return { form: { ...form, card: CARDS.broken }, end: 'unpaid' }
    case 10:
      return { form: { ...form, payIn: MUCH_LATER }, end: 'cancelled' }
    case 14:
      return { form: { ...form, quantity: 0 }, end: 'rejected' }
    default:
      return { form, end: 'paid' }
  }
}

/** Orders, cancels some, and follows each order until it has ended. */
export class Customers implements Seen {
  readonly accepted = { paid: 0, declined: 0, unpaid: 0, cancelled: 0 }
  readonly surprises: string[] = []
  right = 0
  due = 0
  turnedAway = 0
  rejected = 0
  /** The traces of requests whose orders were paid, the latest last. */
  readonly traces: { readonly traceId: string; readonly order: string }[] = []
  readonly #url: string
  readonly #rate: number
  readonly #pending = new Map<string, { readonly end: End; readonly total: number }>()
  readonly #underWay = new Set<Promise<void>>()
  readonly #stopped = new AbortController()

  constructor(url: string, rate: number) {
    this.#url = url
    this.#rate = rate
  }

  get unfinished(): number {
    return this.#pending.size + this.#underWay.size
  }

  get sent(): number {
    return Object.values(this.accepted).reduce((sum, count) => sum + count, 0)
  }

  /** Sends in bursts until `stop`; resolves when each has its answer. */
  async send(): Promise<void> {
    const { signal } = this.#stopped
    for (let n = 1; !signal.aborted; ) {
      const burst = 1 + (n % 4)
      for (let i = 0; i < burst; i++) this.#begin(this.#order(plan(n++)))
      await sleep((burst * 1000) / this.#rate, undefined, { signal }).catch(() => {})
    }
    await Promise.all(this.#underWay)
  }

  /** Sends nothing more. */
  stop(): void {
    this.#stopped.abort()
  }

  /** Asks for each order until it has ended, as long as `going()`. */
  async follow(going: () => boolean): Promise<void> {
    while (going() || this.unfinished > 0) {
      for (const id of [...this.#pending.keys()]) await this.#ask(id)
      await sleep(POLL)
    }
  }

  #begin(work: Promise<void>): void {
    const guarded = work
      .catch((error) => void this.surprises.push(String(error)))
      .finally(() => this.#underWay.delete(guarded))
    this.#underWay.add(guarded)
  }

  async #order({ form, end }: Plan): Promise<void> {
    const response = await this.#fetch('POST', '/orders', form)
    const { status } = response
    if (end === 'rejected') {
      if (status === 400) this.rejected++
      else this.surprises.push(`A wrong order was answered with ${status}.`)
      return
    }
    const order = (await response.json()) as Order
    if (status !== 202 || response.headers.get('location') !== `/orders/${order.id}`) {
      this.surprises.push(`An order was answered with ${status}: ${JSON.stringify(order)}`)
      return
    }
    this.accepted[end]++
    if (end === 'paid') this.due += order.total
    if (end === 'cancelled') {
      const cancelled = await this.#fetch('DELETE', `/orders/${order.id}`)
      if (cancelled.status !== 200) this.surprises.push(`A cancellation was answered with ${cancelled.status}.`)
    }
    this.#pending.set(order.id, { end, total: order.total })
  }

  async #ask(id: string): Promise<void> {
    // Asked again in the next round while the API is away.
    const response = await fetch(`${this.#url}/orders/${id}`).catch(() => undefined)
    if (response?.status !== 200) return
    const order = (await response.json()) as Order
    const { end } = this.#pending.get(id)!
    const over = order.state === 'paid' ? Object.keys(order.done).length === 4 : isEnd(order.state)
    if (!over) return
    this.#pending.delete(id)
    if (order.state === end) this.right++
    else this.surprises.push(`Order ${order.number} is ${order.state} and must be ${end}.`)
    if (order.state !== 'paid' || order.traceId === null) return
    this.traces.push({ traceId: order.traceId, order: id })
    if (this.traces.length > 1_000) this.traces.shift()
  }

  /** Tries again while the API is away, or the queue is. */
  async #fetch(method: string, path: string, body?: object): Promise<Response> {
    const deadline = performance.now() + PATIENCE
    for (;;) {
      const response = await fetch(this.#url + path, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      }).catch((error) => {
        if (performance.now() > deadline) throw error
        return undefined
      })
      if (response !== undefined && response.status !== 503) return response
      if (response !== undefined) this.turnedAway++
      if (performance.now() > deadline) throw new Error(`${method} ${path} was turned away for ${PATIENCE / 1000} s.`)
      await sleep(TRY_AGAIN)
    }
  }
}

function isEnd(state: OrderState): boolean {
  return ['declined', 'unpaid', 'cancelled', 'refused'].includes(state)
}
