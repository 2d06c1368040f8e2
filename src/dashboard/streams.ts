import type { IncomingMessage, ServerResponse } from 'node:http'

/** How often an open page hears of what is new, ms. */
const EVERY = 1_000
/** How often it is asked whether who looks still may, ms. */
const ASK_AGAIN = 60_000
/** A reader that takes nothing for so long has gone. */
const PATIENCE = 60_000

interface Stream {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** It has more to read than fits on its way; what comes meanwhile is left out. */
  stuckSince: number | undefined
  lost: number
  /** Whether it may still look. */
  readonly allowed: () => Promise<boolean>
  askedAt: number
}

/**
 * The open pages. All get the same message each second, which is made once, and only as long as there are any. To one that
 * reads too slowly nothing is queued: it gets the latest when it is ready again, and how many were left out.
 */
export class Streams {
  readonly #most: number
  readonly #message: () => string
  /** No more will come. */
  readonly #isOver: () => boolean
  readonly #streams = new Set<Stream>()
  #timer: NodeJS.Timeout | undefined

  constructor(most: number, message: () => string, isOver: () => boolean) {
    this.#most = most
    this.#message = message
    this.#isOver = isOver
  }

  get size(): number {
    return this.#streams.size
  }

  /** @returns False where there are too many. */
  add(req: IncomingMessage, res: ServerResponse, allowed: () => Promise<boolean>): boolean {
    // It may have gone while it was found out who it is: no `close` would come any more.
    if (res.destroyed || res.closed || req.socket.destroyed) return true
    if (this.#streams.size >= this.#most) return false
    const stream: Stream = { req, res, stuckSince: undefined, lost: 0, allowed, askedAt: performance.now() }
    res.statusCode = 200
    res.setHeader('Content-Type', 'text/event-stream; charset=utf-8')
    // Nothing on the way may hold messages back, to compress or to collect them.
    res.setHeader('Cache-Control', 'no-store, no-transform')
    res.setHeader('X-Accel-Buffering', 'no')
    res.on('close', () => this.#remove(stream))
    res.on('error', () => this.#remove(stream))
    this.#streams.add(stream)
    this.#send(stream, this.#message())
    // What keeps a process alive is its server, not those who look at it.
    this.#timer ??= setInterval(() => this.#tick(), EVERY).unref()
    return true
  }

  /** Ends them all. */
  close(): void {
    for (const { res } of [...this.#streams]) res.end()
  }

  #tick(): void {
    if (this.#isOver()) {
      this.close()
      return
    }
    let message: string
    try {
      message = this.#message()
    } catch {
      // In a timer there is nobody to tell; the next one may do better.
      return
    }
    for (const stream of [...this.#streams]) {
      this.#askAgain(stream)
      if (isClosing(stream.req)) stream.res.end()
      else this.#send(stream, message)
    }
  }

  #askAgain(stream: Stream): void {
    const now = performance.now()
    if (now - stream.askedAt < ASK_AGAIN) return
    stream.askedAt = now
    void stream.allowed().then((yes) => yes || stream.res.end())
  }

  #send(stream: Stream, message: string): void {
    const { res } = stream
    if (stream.stuckSince !== undefined) {
      stream.lost++
      if (performance.now() - stream.stuckSince >= PATIENCE) res.destroy()
      return
    }
    const lost = stream.lost === 0 ? '' : `event: lost\ndata: ${stream.lost}\n\n`
    stream.lost = 0
    if (res.write(`${lost}event: now\ndata: ${message}\n\n`)) return
    stream.stuckSince = performance.now()
    res.once('drain', () => {
      stream.stuckSince = undefined
    })
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream)
    if (this.#streams.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}

/** The app has called `server.close()`, which waits for all answers: this one would never end. */
function isClosing(req: IncomingMessage): boolean {
  return (req.socket as { server?: { listening?: boolean } }).server?.listening === false
}
