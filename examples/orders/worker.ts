/** The worker: `OTEL_SERVICE_NAME=orders-worker node --import afterspan/register examples/orders/worker.ts` after `npm run build`. */
import { createTasks } from 'afterspan'
import { health } from 'afterspan/express'
import { metrics } from 'afterspan/metrics'
import express from 'express'
import { dataDirectory, engineFrom } from './engine.ts'
import { Orders } from './orders.ts'
import { serve } from './serve.ts'
import { logTasks } from './task-log.ts'
import { defineTasks } from './tasks.ts'

const orders = new Orders(dataDirectory(process.env))
const tasks = createTasks()
logTasks(tasks, console.log)
defineTasks(tasks, engineFrom(process.env), orders)
await tasks.work()

const app = express()
app.disable('x-powered-by')
app.get('/health/tasks', health(tasks))
app.get('/metrics', metrics())
await serve(app, 'orders-worker', () => tasks.close({ drain: true }))
