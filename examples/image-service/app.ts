import { mkdirSync, mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { trace } from '@opentelemetry/api'
import { createTasks, type Ledger, type Logger, type Task, type Tasks } from 'afterspan'
import { health, middleware } from 'afterspan/express'
import { metrics } from 'afterspan/metrics'
import express, { type Express, type RequestHandler } from 'express'
import { answerErrors, HttpError, unknownPath } from './errors.ts'
import { Image, Images, type Save } from './images.ts'
import { inspect } from './inspect.ts'
import { isKind, KINDS, type Kind } from './kinds.ts'
import { type PageOptions, taskPage } from './page.ts'
import { logTasks } from './task-log.ts'
import { FILTERS, type Filter, type ImageJob, type ImageTask, mayPass, render } from './tasks/image-task.ts'
import { receiveUpload, withUpload } from './upload.ts'

export interface ImageServiceOptions {
  /** Bytes of an upload. Default 10 MB. */
  maxBytes?: number
  /** Pixels of an uploaded image: what it takes when it is decoded, times 3 or 4 bytes. Default 50 million. */
  maxPixels?: number
  /** Tasks that run at once. Default: one per core, for each keeps one busy. */
  concurrency?: number
  /** Tasks that may wait; with more, uploads are answered with 503. Default 500. */
  queueLimit?: number
  /** Finished images to remember. Default 500. */
  keep?: number
  /** Bytes of results, and of the uploads of failed images, to keep. Default 256 MB. */
  keepBytes?: number
  /** One line per attempt, and the faults of the service. Default: stdout. */
  log?: (line: string) => void
  /** Where Afterspan writes the ledger and its warnings. Default: console. */
  logger?: Logger
  /** Writes a result to disk. Default: `writeFile`. */
  save?: Save
  /** The handler behind `/metrics`. Default: `metrics()`. */
  metrics?: RequestHandler
  /** Who may see the page at `/tasks`. Default: `DASHBOARD_PASSWORD` and `JAEGER_URL` of the environment. */
  page?: PageOptions
}

export interface ImageService {
  readonly app: Express
  readonly tasks: Tasks
  /** Where uploads and results are, until `close`. */
  readonly directory: string
  /** Lets what was accepted finish within `grace` ms, and removes the directory. */
  close(options?: { grace?: number }): Promise<Ledger>
}

/** The service, ready to listen. Uploads and results are in a temporary directory, which `close` removes. */
export function createApp(options: ImageServiceOptions = {}): ImageService {
  const { maxBytes = 10_000_000, maxPixels = 50_000_000, log = console.log } = options
  const directory = mkdtempSync(join(tmpdir(), 'image-service-'))
  const uploads = join(directory, 'uploads')
  const results = join(directory, 'results')
  mkdirSync(uploads)
  mkdirSync(results)

  const tasks = createTasks({
    concurrency: options.concurrency ?? availableParallelism(),
    queueLimit: options.queueLimit ?? 500,
    retry: { attempts: 3, initial: 200, max: 5_000, retryIf: mayPass },
    ...(options.logger !== undefined && { logger: options.logger }),
  })
  const images = new Images({
    directory: results,
    keep: options.keep ?? 500,
    keepBytes: options.keepBytes ?? 256_000_000,
    ...(options.save !== undefined && { save: options.save }),
  })
  logTasks(tasks, (taskId) => images.ofTask(taskId)?.id ?? '', log)

  const define = (task: ImageTask): Task<ImageJob> =>
    tasks.define(
      task.name,
      async (job: ImageJob, context) => {
        context.span.setAttribute('image.id', job.image)
        const image = images.get(job.image)
        if (image !== undefined) await images.attempt(image, context, () => render(task, job, maxPixels))
      },
      task.options,
    )
  const taskOf: Record<Kind, Task<ImageJob>> = {
    thumbnail: define(KINDS.thumbnail),
    filter: define(KINDS.filter),
    other: define(KINDS.other),
  }

  const find = (id: unknown): Image => {
    const image = images.get(String(id))
    if (image === undefined) {
      throw new HttpError(404, 'unknown_image', 'There is no such image; old ones are forgotten.')
    }
    return image
  }

  const app = express()
  app.disable('x-powered-by')
  app.use(middleware(tasks))

  app.post(
    '/images',
    receiveUpload(uploads, maxBytes),
    withUpload(async (file, req, res) => {
      const kind = kindOf(req.body?.kind)
      const filter = filterOf(req.body?.filter)
      if (file === undefined) {
        throw new HttpError(400, 'missing_file', 'Send a multipart form with a file in the field "image".')
      }
      await inspect(file.path, maxPixels)

      const image = new Image(kind, file.path, file.size)
      image.traceId = trace.getActiveSpan()?.spanContext().traceId
      const handle = taskOf[kind].defer({ image: image.id, input: file.path, filter })
      if (handle.state === 'dropped') {
        throw new HttpError(503, 'busy', 'Too many images are waiting. Try again later.', { 'Retry-After': '5' })
      }
      images.add(image, handle)
      const statusUrl = `/images/${image.id}`
      res.status(202).location(statusUrl).json({ id: image.id, kind, status: 'queued', statusUrl })
      return 'taken'
    }),
  )

  app.get('/images/:id', (req, res) => {
    res.set('Cache-Control', 'no-store').json(find(req.params.id))
  })

  app.get('/images/:id/result', (req, res) => {
    const image = find(req.params.id)
    const { status, result } = image
    if (status === 'failed') throw new HttpError(404, 'no_result', 'The image could not be made; its status tells why.')
    if (status !== 'done' || result === undefined) {
      throw new HttpError(409, 'not_ready', `The image is ${status}.`, { 'Retry-After': '1' })
    }
    res.set({ 'Content-Type': result.type, 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'private' })
    res.sendFile(result.path)
  })

  app.get('/health/tasks', health(tasks))
  const { DASHBOARD_PASSWORD, JAEGER_URL } = process.env
  app.use('/tasks', taskPage(tasks, options.page ?? { password: DASHBOARD_PASSWORD, jaegerUrl: JAEGER_URL }))
  app.get('/metrics', options.metrics ?? metrics())
  app.use(unknownPath)
  app.use(answerErrors(log))

  return {
    app,
    tasks,
    directory,
    async close({ grace = 15_000 } = {}) {
      const ledger = await tasks.close({ grace, drain: true })
      await rm(directory, { recursive: true, force: true })
      return ledger
    },
  }
}

function kindOf(value: unknown): Kind {
  if (isKind(value)) return value
  throw new HttpError(400, 'unknown_kind', `The field "kind" is one of ${Object.keys(KINDS).join(', ')}.`)
}

function filterOf(value: unknown): Filter {
  if (value === undefined) return 'grayscale'
  const filter = FILTERS.find((name) => name === value)
  if (filter !== undefined) return filter
  throw new HttpError(400, 'unknown_filter', `The field "filter" is one of ${FILTERS.join(', ')}.`)
}
