import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import type { Request, RequestHandler, Response } from 'express'
import multer from 'multer'
import { HttpError } from './errors.ts'

/**
 * Receives the multipart form of one image. The file goes to disk, not to memory: a queue of a thousand uploads would
 * otherwise be gigabytes of heap. Multer removes the file itself when a limit is crossed or the client goes away.
 */
export function receiveUpload(directory: string, maxBytes: number): RequestHandler {
  const form = multer({
    storage: multer.diskStorage({
      destination: directory,
      // Never a name that came from the client.
      filename: (_req, _file, done) => done(null, randomUUID()),
    }),
    limits: { fileSize: maxBytes, files: 1, fields: 4, parts: 5, fieldSize: 200, fieldNameSize: 50 },
  }).single('image')

  return function receive(req, res, next) {
    form(req, res, (error: unknown) => next(error === undefined ? undefined : explain(error, maxBytes)))
  }
}

function explain(error: unknown, maxBytes: number): unknown {
  if (error instanceof multer.MulterError) {
    switch (error.code) {
      case 'LIMIT_FILE_SIZE':
        return new HttpError(413, 'too_large', `The image is larger than the ${maxBytes} bytes that are allowed.`)
      case 'LIMIT_UNEXPECTED_FILE':
      case 'LIMIT_FILE_COUNT':
        return new HttpError(400, 'unexpected_file', 'Send one file, in the field "image".')
      default:
        return new HttpError(400, 'bad_form', error.message)
    }
  }
  // A full disk has an errno. What has none comes from the parser: the form is malformed, or was cut off.
  if (error instanceof Error && !('errno' in error)) return new HttpError(400, 'bad_form', error.message)
  return error
}

/** Runs a route on the uploaded file, and removes the file unless the route says that somebody has taken it over. */
export function withUpload(
  route: (file: Express.Multer.File | undefined, req: Request, res: Response) => Promise<'taken' | undefined>,
): RequestHandler {
  return async function uploaded(req, res) {
    let taken: 'taken' | undefined
    try {
      taken = await route(req.file, req, res)
    } finally {
      if (taken === undefined && req.file !== undefined) await rm(req.file.path, { force: true })
    }
  }
}
