import { useEffect, useState } from 'preact/hooks'
import type { Now } from '../../protocol.ts'
import { ask, type Failure } from './ask.ts'
import { backoff } from './backoff.ts'
import { learnServerTime } from './server-clock.ts'
import { isVisible, onVisibility } from './visibility.ts'

export interface LiveState {
  readonly now: Now | null
  /** When it came, by this machine's clock. */
  readonly at: number | null
  /** Whether it comes each second: false where it has to be asked for, because a stream does not come through. */
  readonly streamed: boolean
  readonly failure: Failure | null
  readonly retryAt: number | null
}

/** The server sends each second: after this many ms of silence the stream is dead, whatever the browser thinks. */
const SILENCE = 6_000
/** ms between questions where there is no stream, and how many of them until a stream is tried again. */
const EVERY = 3_000
const QUESTIONS = 10

/** The newest `Now`, from one EventSource for the whole page, which is closed while nobody sees the tab. */
class Live {
  state: LiveState = { now: null, at: null, streamed: true, failure: null, retryAt: null }
  readonly #listeners = new Set<(state: LiveState) => void>()
  #source: EventSource | undefined
  #asking: AbortController | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #failures = 0

  constructor() {
    onVisibility((visible) => (visible ? this.connect() : this.#close()))
    window.addEventListener('pagehide', () => this.#close())
    if (isVisible()) this.connect()
  }

  connect(): void {
    this.#close()
    const source = new EventSource('api/events')
    this.#source = source
    this.#in(SILENCE, () => this.#ask(QUESTIONS))
    source.addEventListener('now', (event: MessageEvent<string>) => {
      const now = JSON.parse(event.data) as Now
      learnServerTime(now.at)
      this.#in(SILENCE, () => this.#ask(QUESTIONS))
      this.#received(now, true)
    })
    // Some were left out because this reader was slow: the next one has all that counts, so there is nothing to tell.
    source.addEventListener('lost', () => this.#in(SILENCE, () => this.#ask(QUESTIONS)))
    source.onerror = () => this.#ask(QUESTIONS)
  }

  subscribe(listener: (state: LiveState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * An EventSource does not tell why it failed: the question does. A proxy that holds streams back, or a server that has enough
   * of them, still answers it.
   */
  #ask(left: number): void {
    this.#close()
    const asking = new AbortController()
    this.#asking = asking
    ask<Now>('api/now', asking.signal).then(
      (now) => {
        if (asking.signal.aborted) return
        this.#received(now, false)
        this.#in(EVERY, () => (left > 0 ? this.#ask(left - 1) : this.connect()))
      },
      (failure: Failure) => {
        if (asking.signal.aborted) return
        const wait = backoff(++this.#failures)
        this.#set({ ...this.state, failure, retryAt: Date.now() + wait })
        this.#in(wait, () => this.connect())
      },
    )
  }

  #received(now: Now, streamed: boolean): void {
    this.#failures = 0
    this.#set({ now, at: Date.now(), streamed, failure: null, retryAt: null })
  }

  #in(wait: number, then: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(then, wait)
  }

  #close(): void {
    this.#source?.close()
    this.#asking?.abort()
    clearTimeout(this.#timer)
  }

  #set(state: LiveState): void {
    this.state = state
    for (const listener of this.#listeners) listener(state)
  }
}

let live: Live | undefined

export function useLive(): LiveState & { readonly reconnect: () => void } {
  live ??= new Live()
  const current = live
  const [state, setState] = useState(current.state)
  useEffect(() => {
    setState(current.state)
    return current.subscribe(setState)
  }, [current])
  return { ...state, reconnect: () => current.connect() }
}
