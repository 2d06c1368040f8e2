/** The image service on its own: `node --import afterspan/register examples/image-service/server.ts` after `npm run build`. */
import { createApp } from './app.ts'

const port = Number(process.env.PORT ?? 3000)
const host = process.env.HOST ?? '127.0.0.1'

const service = createApp()
const server = service.app.listen(port, host, (error) => {
  if (error !== undefined) throw error
  console.log(`image service on http://${host}:${port}; POST /images, /tasks, /health/tasks, /metrics`)
})

let closing = false
async function stop(): Promise<void> {
  if (closing) return
  closing = true
  server.close()
  await service.close()
  server.closeAllConnections()
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
