import { setTimeout as sleep } from 'node:timers/promises'
import { Abandon, CancelledError, type Engine, type EngineTask, RetryAfter, type Tasks } from 'afterspan'
import { charge } from './bank.ts'
import type { Orders } from './orders.ts'

/** A task carries the id of its order; everything else is read where it runs, so that it is never out of date. */
export interface OrderRef {
  readonly order: string
}

const ATTEMPTS = 4
/** ms. */
const STOCK_DELAY = 300
const MAIL_AGAIN = 400

/**
 * The tasks, for both processes: the API defers the first, the worker runs all. Each may run more than once, when a worker is
 * killed after the work and before it could tell the queue, so each looks whether it is done.
 *
 * The API defers one task only. Were it to defer four, an order could be refused with its card already charged; so the charge
 * defers what follows, and has not succeeded before the queue has it.
 */
export function defineTasks(tasks: Tasks, engine: Engine, orders: Orders): { chargeCard: EngineTask<OrderRef> } {
  const common = { engine, schema: readOrderRef }

  const chargeCard = tasks.define<OrderRef>(
    'charge-card',
    async ({ order: id }, { attempt, signal, span }) => {
      span.setAttribute('order.id', id)
      const order = orders.begin(id)
      switch (order?.state) {
        case 'charging':
          try {
            await charge(order, attempt, signal)
            orders.paid(id)
          } catch (error) {
            const { message } = error as Error
            if (error instanceof Abandon) orders.declined(id, message)
            // An attempt that was taken away, because the process ends, has not failed.
            else if (!(signal.reason instanceof CancelledError)) orders.failed(id, message, ATTEMPTS)
            throw error
          }
          break
        case 'paid':
          break
        case 'declined':
        case 'unpaid':
          throw new Abandon(order.error ?? order.state)
        default:
          // Cancelled; or refused, and the queue had it nevertheless. The customer was told that nothing will be charged.
          return
      }
      await Promise.all([
        // The key: when the charge is run again, a receipt that still waits is not deferred a second time.
        sendReceipt.defer({ order: id }, { key: id }).accepted,
        updateStock.defer({ order: id }, { delay: STOCK_DELAY }).accepted,
        orderReport.defer({ order: id }).accepted,
      ])
    },
    {
      ...common,
      priority: 'high',
      concurrency: 4,
      timeout: 5_000,
      retry: { attempts: ATTEMPTS, initial: 200, max: 2_000 },
    },
  )

  const sendReceipt = tasks.define<OrderRef>(
    'send-receipt',
    async ({ order: id }, { attempt, signal, span }) => {
      span.setAttribute('order.id', id)
      if (orders.isDone(id, 'receipt')) return
      await sleep(30, undefined, { signal })
      if (attempt === 1 && (orders.get(id)?.number ?? 0) % 10 === 7) {
        throw new RetryAfter(MAIL_AGAIN, 'The mail server asks to be tried again later.')
      }
      orders.do(id, 'receipt')
    },
    { ...common, concurrency: 4, retry: { attempts: 5, initial: 200 } },
  )

  const updateStock = tasks.define<OrderRef>(
    'update-stock',
    async ({ order: id }, { signal }) => {
      await sleep(10, undefined, { signal })
      orders.do(id, 'stock')
    },
    { ...common, concurrency: 4, retry: { attempts: 3 } },
  )

  const orderReport = tasks.define<OrderRef>(
    'order-report',
    async ({ order: id }, { signal }) => {
      await sleep(20, undefined, { signal })
      orders.do(id, 'report')
    },
    { ...common, priority: 'low', concurrency: 2, retry: { attempts: 3 } },
  )

  return { chargeCard }
}

/** Checked where it is deferred, and where it is run: between the two may lie a deployment. */
function readOrderRef(payload: unknown): OrderRef {
  const { order } = (payload ?? {}) as Partial<OrderRef>
  if (typeof order !== 'string') throw new TypeError('`order` is the id of an order')
  return { order }
}
