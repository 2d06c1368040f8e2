import type { Duplex } from 'node:stream'
import type { ConnectionOptions } from 'bullmq'

/** The connection over which all tasks of an engine are sent. */
export interface Producer {
  readonly connection: ConnectionOptions
  /** Why nothing can be sent at the moment; undefined when it can be tried. */
  readonly trouble: Error | undefined
  close(): void
}

/** What is used of an ioredis client. */
export interface RedisLike {
  readonly status: string
  /** Of the connection that it has; a new one after each that breaks. */
  readonly stream?: Duplex
  on(event: string, listener: (error: Error) => void): unknown
  disconnect(): void
}

/**
 * A connection of the engine's own. Workers wait for Redis as long as it takes; who defers wants to know at once, so a send is
 * refused while the connection is broken.
 */
export class ProducerConnection implements Producer {
  readonly connection: ConnectionOptions
  readonly #redis: RedisLike
  #lastError: Error | undefined

  constructor(options: ConnectionOptions, Redis: new (options: object) => object) {
    const { url, ...rest } = options as { url?: string }
    const settings = {
      ...rest,
      // For the requests that are under way when a connection breaks: they are sent again when it is mended, in time or not.
      maxRetriesPerRequest: null,
      retryStrategy: (times: number) => Math.min(50 * 2 ** Math.min(times, 6), 2_000),
    }
    const Client = Redis as unknown as new (...args: unknown[]) => RedisLike
    this.#redis = url === undefined ? new Client(settings) : new Client(url, settings)
    gatherWrites(this.#redis)
    this.#redis.on('error', (error) => {
      this.#lastError = error
    })
    this.#redis.on('close', () => {
      this.#lastError ??= new Error('The connection to Redis was closed.')
    })
    this.#redis.on('ready', () => {
      this.#lastError = undefined
    })
    this.connection = this.#redis as unknown as ConnectionOptions
  }

  get trouble(): Error | undefined {
    return this.#redis.status === 'ready' ? undefined : this.#lastError
  }

  close(): void {
    this.#redis.disconnect()
  }
}

const gathering = new WeakSet<Duplex>()

/**
 * How many commands are written by one system call at most. All at once would have Redis and this process wait for each other:
 * with 32 jobs at a time a job took 250 µs where it takes 180 µs by eights (`npm run bench -- bullmq`, one core each).
 */
const AT_ONCE = 8

/**
 * Has an ioredis client write what it sends in one turn of the event loop by few system calls. By itself it makes one for each
 * command, and so does Redis to read it, which for small jobs is a tenth of what they cost. Nothing waits for it: it is
 * written when the code that runs has ended. Without effect on other clients.
 */
export function gatherWrites(client: RedisLike): void {
  const gather = () => {
    const { stream } = client
    if (stream === undefined || gathering.has(stream)) return
    gathering.add(stream)
    const { write } = stream
    let gathered = 0
    const release = () => {
      if (gathered === 0) return
      gathered = 0
      stream.uncork()
    }
    stream.write = (...args: unknown[]) => {
      if (gathered === 0) {
        stream.cork()
        process.nextTick(release)
      }
      gathered++
      const more = Reflect.apply(write, stream, args)
      if (gathered === AT_ONCE) release()
      return more
    }
  }
  if (client.status === 'ready') gather()
  client.on('connect', gather)
}

/** The app's own client: it decides what happens while Redis is away, and it stays open. */
export class SharedProducer implements Producer {
  readonly connection: ConnectionOptions
  readonly trouble = undefined

  constructor(connection: ConnectionOptions) {
    this.connection = connection
  }

  close(): void {}
}
