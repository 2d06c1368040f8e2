import type { ErrorRequestHandler } from 'express'

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

/** Answers errors as JSON. What is neither ours nor of the body parser is a fault: logged here, and not shown to the client. */
export const answerErrors: ErrorRequestHandler = (error, req, res, next) => {
  if (res.headersSent) {
    next(error)
    return
  }
  const { status, code, message, headers } = asHttpError(error)
  if (status === 500) console.error(`${req.method} ${req.path}:`, error)
  res.set(headers).status(status).json({ error: { code, message } })
}

function asHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error
  const { status, expose, message } = error as { status?: number; expose?: boolean; message: string }
  if (status !== undefined && expose === true) return new HttpError(status, 'bad_body', message)
  return new HttpError(500, 'internal', 'Something went wrong here.')
}
