import type { ErrorRequestHandler, RequestHandler } from 'express'

/** An error that the client is told about: `{ error: { code, message } }` with this status. */
export class HttpError extends Error {
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.name = 'HttpError'
    this.status = status
    this.code = code
    this.headers = headers
  }
}

export const unknownPath: RequestHandler = (req) => {
  throw new HttpError(404, 'not_found', `There is no ${req.method} ${req.path} here.`)
}

/** Answers errors as JSON. What is no `HttpError` is a fault of the service: logged here, and not shown to the client. */
export function answerErrors(log: (line: string) => void): ErrorRequestHandler {
  return (error, req, res, next) => {
    if (res.headersSent) {
      next(error)
      return
    }
    if (error instanceof HttpError) {
      res.set(error.headers).status(error.status)
      res.json({ error: { code: error.code, message: error.message } })
      return
    }
    log(`${req.method} ${req.path}: ${error instanceof Error ? error.stack : String(error)}`)
    res.status(500).json({ error: { code: 'internal', message: 'Something went wrong here.' } })
  }
}
