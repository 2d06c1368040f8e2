import { isSpanContextValid, trace } from '@opentelemetry/api'
import type { EngineTask, Tasks } from 'afterspan'
import { health, middleware } from 'afterspan/express'
import { metrics } from 'afterspan/metrics'
import express, { type Express } from 'express'
import { answerErrors, HttpError } from './errors.ts'
import { readOrderForm } from './order-form.ts'
import type { Order, Orders } from './orders.ts'
import type { OrderRef } from './tasks.ts'

export interface AppOptions {
  readonly tasks: Tasks
  readonly chargeCard: EngineTask<OrderRef>
  readonly orders: Orders
}

/** How long a request waits for the queue, ms. */
const PATIENCE = 5_000

/** The API. It runs no task; it answers 202 when the queue has the order, and tells what the worker has made of it. */
export function createApp({ tasks, chargeCard, orders }: AppOptions): Express {
  const find = (id: string): Order => {
    const order = orders.get(id)
    if (order === undefined) throw new HttpError(404, 'unknown_order', 'There is no order of this id.')
    return order
  }

  const app = express()
  app.disable('x-powered-by')
  app.use(middleware(tasks))

  app.post('/orders', express.json({ limit: '10kb' }), async (req, res) => {
    const form = readOrderForm(req.body)
    const id = orders.place(form, traceId())
    const handle = chargeCard.defer({ order: id }, { delay: form.payIn * 1000, signal: AbortSignal.timeout(PATIENCE) })
    orders.isTask(id, handle.id)
    try {
      await handle.accepted
    } catch {
      // Where the queue could not say whether it has the task, the order decides: the worker leaves a refused one alone.
      if (orders.refuse(id)) {
        throw new HttpError(
          503,
          'queue_away',
          'The order was not taken, and nothing will be charged. Try again later.',
          {
            'Retry-After': '2',
          },
        )
      }
    }
    res.status(202).location(`/orders/${id}`).json(find(id))
  })

  app.get('/orders', (_req, res) => {
    res.set('Cache-Control', 'no-store').json(orders.totals())
  })

  app.get('/orders/:id', (req, res) => {
    res.set('Cache-Control', 'no-store').json(find(req.params.id))
  })

  app.delete('/orders/:id', async (req, res) => {
    const { id, taskId } = find(req.params.id)
    if (!orders.cancel(id)) {
      throw new HttpError(409, 'begun', `The order is ${find(id).state}: it can no longer be cancelled.`)
    }
    // The order is cancelled, whatever becomes of this: the worker leaves it alone.
    if (taskId !== null) await chargeCard.cancel(taskId).catch(() => false)
    res.json(find(id))
  })

  app.get('/health/tasks', health(tasks))
  app.get('/metrics', metrics())
  app.use((req) => {
    throw new HttpError(404, 'not_found', `There is no ${req.method} ${req.path} here.`)
  })
  app.use(answerErrors)
  return app
}

/** Of this request; undefined where nothing is traced. */
function traceId(): string | undefined {
  const span = trace.getActiveSpan()?.spanContext()
  return span !== undefined && isSpanContextValid(span) ? span.traceId : undefined
}
