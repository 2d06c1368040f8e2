import type { TaskOptions } from 'afterspan'
import sharp, { type Sharp } from 'sharp'

/** One kind of work on an image. */
export interface ImageTask {
  /** The name under which the task is deferred, traced and counted. */
  readonly name: string
  readonly options: TaskOptions & { timeout: number }
  /** The media type of what it makes. */
  readonly type: string
  /** Adds the steps that make the result. */
  render(image: Sharp, filter: Filter): Sharp
}

/** The values of the field `filter`. */
export const FILTERS = ['grayscale', 'blur', 'sharpen'] as const
export type Filter = (typeof FILTERS)[number]

/** What is deferred: a path, not the bytes, so that a long queue costs disk and not heap. */
export interface ImageJob {
  readonly image: string
  readonly input: string
  readonly filter: Filter
}

export interface Rendered {
  readonly data: Buffer
  readonly width: number
  readonly height: number
}

/**
 * Decodes, works, encodes. libvips takes no AbortSignal, so it gets a limit of its own, a second after the task's timeout:
 * otherwise a picture that takes for ever would keep its slot long after its attempt has timed out.
 */
export async function render(task: ImageTask, job: ImageJob, maxPixels: number): Promise<Rendered> {
  const image = sharp(job.input, { limitInputPixels: maxPixels }).timeout({
    seconds: Math.ceil(task.options.timeout / 1000) + 1,
  })
  const { data, info } = await task.render(image.autoOrient(), job.filter).toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height }
}

/** Errors of the machine that pass: too many open files, a disk that is busy or just full. A broken image stays broken. */
const PASSING = new Set(['EAGAIN', 'EBUSY', 'EMFILE', 'ENFILE', 'ENOSPC'])

export function mayPass(error: unknown): boolean {
  return error instanceof Error && 'code' in error && PASSING.has(String(error.code))
}
