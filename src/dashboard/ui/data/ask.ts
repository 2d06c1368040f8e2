import type { Problem } from '../../protocol.ts'
import { config } from '../config.ts'
import { learnServerTime } from './server-clock.ts'

export interface Failure {
  /** null when no answer came at all. */
  readonly status: number | null
  readonly message: string
}

/** ms after which an answer is not waited for any more. */
const PATIENCE = 15_000

/** Asks the server for `path`, relative to where the page is served. What is thrown is a `Failure`. */
export async function ask<T>(path: string, signal: AbortSignal): Promise<T> {
  const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)])
  const response = await send(path, { signal: patience, headers: { accept: 'application/json' }, cache: 'no-store' })
  learnServerTime(Date.parse(response.headers.get('date') ?? '') || Date.now())
  return (await response.json().catch(() => {
    throw failure(response.status, 'The answer was cut off, or is not JSON.')
  })) as T
}

/** Does what changes something. */
export async function act(path: string): Promise<void> {
  await send(path, { method: 'POST', headers: { 'x-afterspan-csrf': config.csrf } })
}

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, { ...init, credentials: 'same-origin' })
  } catch (error) {
    throw failure(null, `No answer from the server (${(error as Error).message}).`)
  }
  if (response.ok) return response
  const problem = (await response.json().catch(() => undefined)) as Partial<Problem> | undefined
  throw failure(response.status, problem?.message ?? `The server answered ${response.status} ${response.statusText}.`)
}

function failure(status: number | null, message: string): Failure {
  return { status, message }
}
