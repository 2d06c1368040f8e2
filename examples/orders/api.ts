/** The API: `OTEL_SERVICE_NAME=orders-api node --import afterspan/register examples/orders/api.ts` after `npm run build`. */
import { createTasks } from 'afterspan'
import { createApp } from './app.ts'
import { dataDirectory, engineFrom } from './engine.ts'
import { Orders } from './orders.ts'
import { serve } from './serve.ts'
import { logTasks } from './task-log.ts'
import { defineTasks } from './tasks.ts'

const orders = new Orders(dataDirectory(process.env))
const tasks = createTasks()
logTasks(tasks, console.log)
const { chargeCard } = defineTasks(tasks, engineFrom(process.env), orders)

await serve(createApp({ tasks, chargeCard, orders }), 'orders-api', () => tasks.close({ drain: true }))
