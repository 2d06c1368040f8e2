import { createHash, timingSafeEqual } from 'node:crypto'
import type { Tasks } from 'afterspan'
import { dashboard } from 'afterspan/dashboard'
import { type Request, Router } from 'express'

export interface PageOptions {
  /** Whoever knows it may see the page, from anywhere, and act; the name is of no account. Default: only this machine may. */
  password?: string | undefined
  /** Where a Jaeger has its page, such as `http://localhost:16686`. */
  jaegerUrl?: string | undefined
}

/** What the tasks are doing, as a page: to be mounted at `/tasks`. A browser asks for the password by itself (HTTP Basic). */
export function taskPage(tasks: Tasks, { password, jaegerUrl }: PageOptions): Router {
  const router = Router()
  const knows = (req: Request) => password !== undefined && same(passwordOf(req), password)
  if (password !== undefined) {
    router.use((req, res, next) => {
      if (knows(req)) next()
      else res.status(401).set('WWW-Authenticate', 'Basic realm="tasks", charset="UTF-8"').end()
    })
  }
  router.use(
    dashboard(tasks, {
      ...(password !== undefined && { authorize: knows }),
      ...(jaegerUrl !== undefined && { traceUrl: `${jaegerUrl.replace(/\/$/, '')}/trace/{traceId}` }),
      actions: true,
    }),
  )
  return router
}

function passwordOf({ headers: { authorization = '' } }: Request): string {
  const [, encoded = ''] = /^Basic ([\w+/=]+)$/i.exec(authorization) ?? []
  const credentials = Buffer.from(encoded, 'base64').toString('utf8')
  return credentials.slice(credentials.indexOf(':') + 1)
}

/** In a time that tells nothing of how much of it was right. */
function same(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}
