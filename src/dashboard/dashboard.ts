import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { noteOnRequest } from '../background/scope.ts'
import { Tasks } from '../background/tasks.ts'
import { AfterspanError } from '../model/errors.ts'
import { OWN_REQUEST, recentTraces } from '../telemetry/recent-traces.ts'
import { selfHealth } from '../telemetry/self-health.ts'
import { type Refusal, refused, refuseForeign, refuseHost, refuseToken } from './access.ts'
import { answerProblem, partsOf, protect } from './answer.ts'
import { Api } from './api.ts'
import { BUILT_PAGE, Files } from './files.ts'
import { type DashboardOptions, resolveDashboard } from './options.ts'

type Middleware = (req: IncomingMessage, res: ServerResponse, next?: unknown) => void

/**
 * The page inside the app: `app.use('/tasks', dashboard(tasks, { authorize: (req) => isAdmin(req) }))`, in Express 5 and 4, at any
 * path. It shows what fails, what is stuck and the traces of requests with their background work, live. It keeps the last hour
 * in memory from then on.
 *
 * Without `authorize` it answers only on loopback, and not in production.
 *
 * @throws AfterspanError ERR_AFTERSPAN_TASKS, ERR_AFTERSPAN_OPTION.
 */
// biome-ignore lint/suspicious/noExplicitAny: what Express hands on is what `authorize` says it takes; nothing here knows its type
export function dashboard<R extends IncomingMessage = any>(tasks: Tasks, options?: DashboardOptions<R>): Middleware {
  return dashboardOf(tasks, options, BUILT_PAGE)
}

/** @param root Where the files of the page are. */
export function dashboardOf<R extends IncomingMessage>(
  tasks: Tasks,
  options: DashboardOptions<R> | undefined,
  root: string,
): Middleware {
  if (!(tasks instanceof Tasks)) {
    throw new AfterspanError(
      'ERR_AFTERSPAN_TASKS',
      `dashboard(tasks) takes what createTasks() returned, got ${tasks === null ? 'null' : typeof tasks}.`,
    )
  }
  const settings = resolveDashboard(options)
  const inspection = Tasks.inspect(tasks)
  if (settings.actions) inspection.keepPayloads()
  recentTraces.want()
  const csrf = randomBytes(32).toString('base64url')
  const version = packageVersion()
  const service = serviceName(process.env)
  const files = new Files(root, () => ({
    version,
    service,
    actions: settings.actions,
    csrf,
    traceUrl: settings.traceUrl ?? null,
    payloads: settings.payloads,
    // It may start after the page was mounted.
    profiler: inspection.profiler !== undefined,
  }))
  const api = new Api({ tasks, inspection, settings })
  Tasks.whenClosed(tasks, async () => api.close())

  const answer = (req: IncomingMessage, res: ServerResponse, path: string, query: URLSearchParams): void => {
    const parts = segments(path)
    if (parts === undefined) {
      answerProblem(res, 400, { code: 'ERR_AFTERSPAN_DASHBOARD_PATH', message: 'The path is not well-formed.' }, true)
    } else if (req.method === 'POST') {
      const refusal = refuseAction(req)
      if (refusal !== undefined) answerProblem(res, refusal.status, refusal, true)
      else api.post(parts.slice(1), res)
    } else if (parts[0] === 'api') {
      api.get(parts.slice(1), query, req, res, () => authorized(settings.authorize, req))
    } else if (!files.serve(path, req, res)) {
      answerProblem(res, 404, { code: 'ERR_AFTERSPAN_DASHBOARD_GONE', message: 'There is no such page.' }, false)
    }
  }

  const refuseAction = (req: IncomingMessage): Refusal | undefined => {
    if (settings.actions) return refuseToken(req, csrf)
    return refused(403, 'ACTIONS', 'Actions are off. To allow them: dashboard(tasks, { authorize, actions: true }).')
  }

  return function afterspanDashboard(req, res) {
    const { path, query } = partsOf(req)
    const isApi = path === 'api' || path.startsWith('api/')
    const failed = () => {
      const message = 'The page met an error of its own.'
      answerProblem(res, 500, { code: 'ERR_AFTERSPAN_DASHBOARD_FAILED', message }, isApi)
    }
    const refuse = (refusal: Refusal) => answerProblem(res, refusal.status, refusal, isApi)
    const go = () => {
      try {
        answer(req, res, path, query)
      } catch {
        failed()
      }
    }
    noteOnRequest(OWN_REQUEST, true)
    protect(res)
    if (!allowsMethod(req, res, isApi)) return
    const refusal = refuseHost(req, settings) ?? refuseForeign(req, path === '')
    if (refusal !== undefined) {
      refuse(refusal)
      return
    }
    const to = path === '' ? withSlash(req) : undefined
    if (to !== undefined) {
      res.statusCode = 308
      res.setHeader('Location', to)
      res.end()
      return
    }
    if (settings.authorize === undefined) go()
    else void authorized(settings.authorize, req).then((yes) => (yes ? go() : refuse(notAuthorized)))
  }
}

const notAuthorized = refused(
  403,
  'AUTHORIZE',
  'Not allowed: `authorize` of dashboard() did not return true for this request.',
)

/** Only `true` lets it through; what throws does not, and is counted. */
async function authorized(
  authorize: ((req: IncomingMessage) => unknown) | undefined,
  req: IncomingMessage,
): Promise<boolean> {
  try {
    if (authorize === undefined) return true
    return (await authorize(req)) === true
  } catch {
    selfHealth.caught('authorize')
    return false
  }
}

function allowsMethod(req: IncomingMessage, res: ServerResponse, isApi: boolean): boolean {
  const { method } = req
  if (method === 'GET' || method === 'HEAD' || (method === 'POST' && isApi)) return true
  res.setHeader('Allow', isApi ? 'GET, HEAD, POST' : 'GET, HEAD')
  const message = `${isApi ? 'GET, HEAD and POST' : 'GET and HEAD'} are answered here.`
  answerProblem(res, 405, { code: 'ERR_AFTERSPAN_DASHBOARD_METHOD', message }, isApi)
  return false
}

/**
 * Where the page is, with a slash at the end, when it was asked for without: its own addresses are relative. So is this one, since
 * a proxy may have it at another path; it begins with `./`, so that nothing in the path can make another host of it.
 */
function withSlash(req: IncomingMessage): string | undefined {
  const url = (req as { originalUrl?: string }).originalUrl ?? req.url ?? '/'
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  if (path.endsWith('/')) return undefined
  return `./${path.slice(path.lastIndexOf('/') + 1)}/${mark === -1 ? '' : url.slice(mark)}`
}

/** undefined where it is not well-formed. */
function segments(path: string): string[] | undefined {
  try {
    return path.split('/').map(decodeURIComponent)
  } catch {
    return undefined
  }
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}

/** As OpenTelemetry has it. */
function serviceName({ OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES = '' }: NodeJS.ProcessEnv): string {
  const [, named] = /(?:^|,)\s*service\.name=([^,]+)/.exec(OTEL_RESOURCE_ATTRIBUTES) ?? []
  return OTEL_SERVICE_NAME || named?.trim() || 'unknown_service:node'
}
