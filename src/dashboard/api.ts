import type { IncomingMessage, ServerResponse } from 'node:http'
import { actionOf } from './actions.ts'
import { answerJson, answerProblem, JSON_TYPE, send } from './answer.ts'
import { nowOf } from './now.ts'
import { profileOf } from './profile.ts'
import type { Source } from './source.ts'
import { Streams } from './streams.ts'
import { taskDetailOf } from './task-detail.ts'
import { telemetryHealthOf, undeclaredOf } from './telemetry-health.ts'
import { traceDetailOf, tracesOf } from './traces.ts'
import { waitingOf } from './waiting.ts'

/** For so long what was found out for one is good for others, ms. */
const FRESH = 250

/** The answers to the page's own requests, below `api/`. */
export class Api {
  readonly #source: Source
  readonly #streams: Streams
  #over = false
  #now: { readonly at: number; readonly text: string } | undefined

  constructor(source: Source) {
    this.#source = source
    this.#streams = new Streams(
      source.settings.maxStreams,
      () => this.#latest(),
      () => this.#over,
    )
  }

  /** Ends what is open: nothing changes any more. */
  close(): void {
    this.#over = true
    this.#streams.close()
  }

  /** @param allowed Asks again whether who has sent the request may see it. */
  get(
    path: readonly string[],
    query: URLSearchParams,
    req: IncomingMessage,
    res: ServerResponse,
    allowed: () => Promise<boolean>,
  ): void {
    const [kind] = path
    if (path.length === 1 && kind === 'now') {
      send(res, 200, JSON_TYPE, this.#latest())
    } else if (path.length === 1 && kind === 'events') {
      this.#stream(req, res, allowed)
    } else {
      const answer = this.#answer(path, query)
      if (answer === undefined) answerProblem(res, 404, missing(path), true)
      else answerJson(res, 200, answer)
    }
  }

  /** undefined where there is nothing at this path. */
  #answer([kind, name, part, ...more]: readonly string[], query: URLSearchParams): unknown {
    const source = this.#source
    const depth = more.length > 0 ? Number.NaN : part !== undefined ? 3 : name !== undefined ? 2 : 1
    switch (`${kind} ${depth}`) {
      case 'undeclared 1':
        return undeclaredOf()
      case 'telemetry 1':
        return telemetryHealthOf(source)
      case 'traces 1':
        return tracesOf(query)
      case 'traces 2':
        return traceDetailOf(name!)
      case 'tasks 2':
        return taskDetailOf(source, name!, query.get('range') === '3600' ? 3600 : 900)
      case 'tasks 3':
        if (part === 'profile') return profileOf(source, name!, query.get('id') ?? undefined)
        return part === 'waiting' ? waitingOf(source, name!, query.get('after') ?? undefined) : undefined
      default:
        return undefined
    }
  }

  post(path: readonly string[], res: ServerResponse): void {
    const action = actionOf(path)
    if (action === undefined) {
      answerProblem(res, 404, missing(path), true)
      return
    }
    const problem = action(this.#source)
    this.#now = undefined
    if (problem !== undefined) {
      answerProblem(res, problem.status, problem, true)
      return
    }
    res.statusCode = 204
    res.end()
  }

  #stream(req: IncomingMessage, res: ServerResponse, allowed: () => Promise<boolean>): void {
    if (req.method === 'HEAD') {
      res.end()
      return
    }
    if (this.#streams.add(req, res, allowed)) return
    res.setHeader('Retry-After', '10')
    const message = `${this.#streams.size} pages are open, as many as \`maxStreams\` of dashboard() allows. Close one.`
    answerProblem(res, 503, { code: 'ERR_AFTERSPAN_DASHBOARD_STREAMS', message }, true)
  }

  #latest(): string {
    const at = this.#source.inspection.clock.now()
    if (this.#now === undefined || at - this.#now.at > FRESH)
      this.#now = { at, text: JSON.stringify(nowOf(this.#source)) }
    return this.#now.text
  }
}

function missing(path: readonly string[]) {
  const profile = path[0] === 'tasks' && path[2] === 'profile'
  if (profile) return { code: 'ERR_AFTERSPAN_PROFILER', message: 'No profile of this task is kept in this process.' }
  return {
    code: 'ERR_AFTERSPAN_DASHBOARD_GONE',
    message: 'There is no such task, trace or page; it may not be kept any more.',
  }
}
