import { randomUUID } from 'node:crypto'
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CancelledError, type TaskContext, type TaskHandle, TimeoutError } from 'afterspan'
import { KINDS, type Kind } from './kinds.ts'
import { mayPass, type Rendered } from './tasks/image-task.ts'

export interface Attempt {
  readonly result: 'ok' | 'error' | 'timeout' | 'cancelled'
  readonly durationMs: number
}

/** What `GET /images/:id` tells. */
export interface ImageStatus {
  readonly id: string
  readonly kind: Kind
  readonly status: 'queued' | 'running' | 'done' | 'failed'
  readonly task: { readonly id: string; readonly name: string }
  /** The trace of the request that uploaded it, when there is one. */
  readonly traceId: string | undefined
  readonly submittedAt: string
  readonly startedAt: string | undefined
  readonly finishedAt: string | undefined
  readonly attempts: readonly Attempt[]
  readonly error?: { readonly code: string; readonly message: string }
  readonly result?: {
    readonly url: string
    readonly type: string
    readonly bytes: number
    readonly width: number
    readonly height: number
  }
}

export interface Result {
  readonly path: string
  readonly type: string
  readonly bytes: number
  readonly width: number
  readonly height: number
}

/** One image that was accepted. */
export class Image {
  readonly id = randomUUID()
  readonly kind: Kind
  /** The uploaded file; it goes when the task has ended, unless the task has failed and may do better another time. */
  readonly input: string
  readonly inputBytes: number
  readonly submittedAt = new Date()
  startedAt: Date | undefined
  finishedAt: Date | undefined
  traceId: string | undefined
  readonly attempts: Attempt[] = []
  handle: TaskHandle | undefined
  /** How it goes with an image that failed and was deferred anew, from the page at `/tasks`. */
  again: 'running' | 'done' | undefined
  result: Result | undefined

  constructor(kind: Kind, input: string, inputBytes: number) {
    this.kind = kind
    this.input = input
    this.inputBytes = inputBytes
  }

  get status(): ImageStatus['status'] {
    if (this.again !== undefined) return this.again
    switch (this.handle?.state) {
      case 'completed':
        return 'done'
      case 'failed':
      case 'cancelled':
      case 'dropped':
        return 'failed'
      case 'running':
        return 'running'
      default:
        return 'queued'
    }
  }

  toJSON(): ImageStatus {
    const { status } = this
    return {
      id: this.id,
      kind: this.kind,
      status,
      task: { id: this.handle?.id ?? '', name: KINDS[this.kind].name },
      traceId: this.traceId,
      submittedAt: this.submittedAt.toISOString(),
      startedAt: this.startedAt?.toISOString(),
      finishedAt: this.finishedAt?.toISOString(),
      attempts: this.attempts,
      ...(status === 'failed' && { error: explain(this.handle?.error) }),
      ...(status === 'done' &&
        this.result !== undefined && {
          result: {
            url: `/images/${this.id}/result`,
            type: this.result.type,
            bytes: this.result.bytes,
            width: this.result.width,
            height: this.result.height,
          },
        }),
    }
  }
}

export type Save = (path: string, data: Buffer) => Promise<void>

export interface ImagesOptions {
  /** Where results are kept. */
  readonly directory: string
  /** How many finished images are remembered. */
  readonly keep: number
  /** How many bytes their results, and the uploads of failed ones, may have in all. */
  readonly keepBytes: number
  readonly save?: Save
}

/**
 * The images that this process knows. Bounded: when more than `keep` have finished, or their files are larger than
 * `keepBytes` in all, those that finished first are forgotten and their files removed. Nothing outlives the process: a real
 * service would keep both in a database and an object store.
 */
export class Images {
  readonly #options: ImagesOptions
  readonly #save: Save
  readonly #known = new Map<string, Image>()
  /** By the id of the task, for what only the task's events tell. */
  readonly #running = new Map<string, Image>()
  /** In the order in which they finished. */
  readonly #finished = new Set<Image>()
  #bytes = 0

  constructor(options: ImagesOptions) {
    this.#options = options
    this.#save = options.save ?? ((path, data) => writeFile(path, data))
  }

  get(id: string): Image | undefined {
    return this.#known.get(id)
  }

  ofTask(taskId: string): Image | undefined {
    return this.#running.get(taskId)
  }

  /** Follows an accepted image until its task has its outcome. */
  add(image: Image, handle: TaskHandle): void {
    image.handle = handle
    this.#known.set(image.id, image)
    this.#running.set(handle.id, image)
    void handle.outcome.then(() => this.#finish(image, handle))
  }

  /**
   * Runs one attempt of the image's task, and keeps what it makes. A task of another id than the one that was followed is a
   * failed one that somebody has deferred anew.
   */
  async attempt(image: Image, context: TaskContext, make: () => Promise<Rendered>): Promise<void> {
    if (context.id === image.handle?.id) return this.#attempt(image, context, make)
    image.again = 'running'
    this.#running.set(context.id, image)
    try {
      await this.#attempt(image, context, make)
      image.again = 'done'
    } catch (error) {
      image.again = undefined
      throw error
    } finally {
      this.#running.delete(context.id)
    }
    if (this.#known.has(image.id)) await this.#keep(image)
  }

  async #attempt(image: Image, context: TaskContext, make: () => Promise<Rendered>): Promise<void> {
    const { signal } = context
    const start = performance.now()
    image.startedAt ??= new Date()
    let result: Attempt['result'] = 'error'
    try {
      const rendered = await make()
      // After a timeout nobody waits for it any more, and a later attempt may have stored its own.
      signal.throwIfAborted()
      image.result = await this.#store(image, rendered)
      result = 'ok'
    } finally {
      if (signal.aborted) result = endOf(signal.reason)
      image.attempts.push({ result, durationMs: Math.round(performance.now() - start) })
    }
  }

  async #store(image: Image, { data, width, height }: Rendered): Promise<Result> {
    const path = join(this.#options.directory, image.id)
    const part = `${path}.${image.attempts.length + 1}.part`
    try {
      await this.#save(part, data)
      await rename(part, path)
    } catch (error) {
      await rm(part, { force: true })
      throw error
    }
    return { path, type: KINDS[image.kind].type, bytes: data.length, width, height }
  }

  async #finish(image: Image, handle: TaskHandle): Promise<void> {
    this.#running.delete(handle.id)
    await this.#keep(image)
  }

  /** Keeps a finished image, as the latest, and forgets the oldest where there are too many. */
  async #keep(image: Image): Promise<void> {
    image.finishedAt = new Date()
    const old: string[] = []
    if (this.#finished.delete(image)) this.#bytes -= image.inputBytes
    if (image.result !== undefined || !mayPass(image.handle?.error)) old.push(image.input)
    this.#finished.add(image)
    this.#bytes += bytesOf(image)
    for (const oldest of this.#finished) {
      if (this.#finished.size <= this.#options.keep && this.#bytes <= this.#options.keepBytes) break
      this.#finished.delete(oldest)
      this.#known.delete(oldest.id)
      this.#bytes -= bytesOf(oldest)
      old.push(oldest.result?.path ?? oldest.input)
    }
    await Promise.all(old.map((path) => rm(path, { force: true })))
  }
}

/** Of the one file that a finished image may have. */
function bytesOf({ result, handle, inputBytes }: Image): number {
  return result?.bytes ?? (mayPass(handle?.error) ? inputBytes : 0)
}

function endOf(reason: unknown): Attempt['result'] {
  return reason instanceof TimeoutError ? 'timeout' : 'cancelled'
}

function explain(error: unknown): { code: string; message: string } {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof TimeoutError) return { code: 'timeout', message }
  if (error instanceof CancelledError) return { code: 'cancelled', message }
  return { code: 'processing_failed', message }
}
