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
  readonly failure: Failure | null
  readonly retryAt: number | null
}

/** The server sends each second: after this many ms of silence the connection is dead, whatever the browser thinks. */
const SILENCE = 6_000

/** The stream of `Now`, from one EventSource for the whole page, which is closed while nobody sees the tab. */
class Live {
  state: LiveState = { now: null, at: null, failure: null, retryAt: null }
  readonly #listeners = new Set<(state: LiveState) => void>()
  #source: EventSource | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #probe: AbortController | undefined
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
    this.#listenFor(SILENCE)
    source.addEventListener('now', (event: MessageEvent<string>) => this.#receive(event.data))
    // Some were left out because this reader was slow: the next one has all that counts, so there is nothing to tell.
    source.addEventListener('lost', () => this.#listenFor(SILENCE))
    source.onerror = () => this.#failed()
  }

  subscribe(listener: (state: LiveState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #receive(text: string): void {
    const now = JSON.parse(text) as Now
    learnServerTime(now.at)
    this.#failures = 0
    this.#listenFor(SILENCE)
    this.#set({ now, at: Date.now(), failure: null, retryAt: null })
  }

  #listenFor(wait: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#failed(), wait)
  }

  /** An EventSource does not tell why it failed, and gives up by itself after some answers: so it is made anew each time. */
  #failed(): void {
    this.#close()
    const wait = backoff(++this.#failures)
    const retryAt = Date.now() + wait
    this.#set({ ...this.state, failure: { status: null, message: 'The connection to the server is lost.' }, retryAt })
    this.#timer = setTimeout(() => this.connect(), wait)
    const probe = new AbortController()
    this.#probe = probe
    ask<Now>('api/now', probe.signal).then(
      (now) => {
        if (!probe.signal.aborted) this.#set({ ...this.state, now, at: Date.now() })
      },
      (failure: Failure) => {
        if (!probe.signal.aborted) this.#set({ ...this.state, failure })
      },
    )
  }

  #close(): void {
    this.#source?.close()
    this.#probe?.abort()
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
