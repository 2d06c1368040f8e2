import { readdirSync, readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { extname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { answerProblem, send } from './answer.ts'
import type { Config } from './protocol.ts'

const TYPES: ReadonlyMap<string, string> = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
  ['.png', 'image/png'],
  ['.woff2', 'font/woff2'],
])
/** Where the configuration stands in the page. */
const PLACE = '{"config":null}'
/** Bodies below this are not worth compressing, bytes. */
const COMPRESS_FROM = 1_024

/** Made by Vite, beside the compiled code; also when the sources are run as they are. */
export const BUILT_PAGE = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../dist/dashboard/ui/' : './ui/', import.meta.url),
)

interface File {
  readonly type: string
  readonly body: Buffer
  readonly zipped: Buffer | undefined
  /** Where the configuration belongs into it, which may change. */
  readonly isPage: boolean
  /** Its name has a hash in it. */
  readonly immutable: boolean
}

/** The page, its script and style, in memory: a path can name nothing else. */
export class Files {
  readonly #root: string
  readonly #config: () => Config
  #files: ReadonlyMap<string, File> | undefined

  constructor(root: string, config: () => Config) {
    this.#root = root
    this.#config = config
  }

  /** @returns False where there is no such file. */
  serve(path: string, req: IncomingMessage, res: ServerResponse): boolean {
    const files = this.#files ?? this.#read()
    // As long as it is not built it is looked for again.
    if (files.has('index.html')) this.#files = files
    const file = files.get(path === '' ? 'index.html' : path)
    if (file === undefined) {
      if (path !== '') return false
      const message = `The page is not built: ${this.#root} has no index.html made by "npm run build". The data is there: see api/now.`
      answerProblem(res, 500, { code: 'ERR_AFTERSPAN_DASHBOARD_BUILD', message }, false)
      return true
    }
    if (file.immutable) res.setHeader('Cache-Control', 'public, max-age=31536000, immutable')
    if (file.isPage) {
      const page = file.body.toString('utf8').replace(PLACE, () => inScript(this.#config()))
      send(res, 200, file.type, Buffer.from(page))
      return true
    }
    res.setHeader('Vary', 'Accept-Encoding')
    const zipped = /\bgzip\b/.test(String(req.headers['accept-encoding'])) ? file.zipped : undefined
    if (zipped !== undefined) res.setHeader('Content-Encoding', 'gzip')
    send(res, 200, file.type, zipped ?? file.body)
    return true
  }

  #read(): ReadonlyMap<string, File> {
    const files = new Map<string, File>()
    for (const path of list(this.#root)) {
      const type = TYPES.get(extname(path))
      if (type === undefined) continue
      const body = readFileSync(join(this.#root, path))
      const isPage = path === 'index.html'
      // A page that was not built, or by something else, would ask for what is not there.
      if (isPage && !body.includes(PLACE)) continue
      const zipped = body.length >= COMPRESS_FROM && !isPage ? gzipSync(body) : undefined
      files.set(path.split(sep).join('/'), { type, body, zipped, isPage, immutable: path.startsWith(`assets${sep}`) })
    }
    return files
  }
}

function list(root: string): string[] {
  try {
    return readdirSync(root, { recursive: true, encoding: 'utf8' })
  } catch {
    return []
  }
}

/** JSON that cannot end the element that it stands in. */
function inScript(config: Config): string {
  return JSON.stringify(config).replaceAll('<', '\\u003c')
}
