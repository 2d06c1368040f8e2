import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

const here = dirname(fileURLToPath(import.meta.url))
const modules = join(here, 'node_modules')

/** Where @grafana/ui looks on a Grafana server, and where that is here. */
const FILES: readonly (readonly [RegExp, (name: string) => string])[] = [
  [/^\/public\/build\/img\/icons\/(\w+\/[\w-]+\.svg)$/, (name) => `@grafana/ui/dist/public/img/icons/${name}`],
  [/^\/public\/fonts\/inter\/Inter-\w*Italic\.woff2()$/, () => font('inter', 'italic')],
  [/^\/public\/fonts\/inter\/Inter-\w+\.woff2()$/, () => font('inter', 'normal')],
  [/^\/public\/fonts\/roboto\/[\w-]+\.woff2()$/, () => font('roboto-mono', 'normal')],
]

function font(family: string, style: string): string {
  return `@fontsource-variable/${family}/files/${family}-latin-wght-${style}.woff2`
}

async function find(path: string): Promise<Buffer | undefined> {
  for (const [pattern, place] of FILES) {
    const match = pattern.exec(path)
    if (match !== null) return readFile(join(modules, place(match[1] ?? ''))).catch(() => mirrored(path))
  }
  return undefined
}

/** The package has arrows to the right without their twins. */
async function mirrored(path: string): Promise<Buffer | undefined> {
  if (!path.endsWith('-left.svg')) return undefined
  const right = await find(path.replace(/-left\.svg$/, '-right.svg'))
  const [, open = '', drawing = ''] = /^(<svg[^>]*>)(.*)<\/svg>/s.exec(right?.toString() ?? '') ?? []
  return Buffer.from(`${open}<g transform="matrix(-1 0 0 1 24 0)">${drawing}</g></svg>`)
}

/** Grafana's icons and fonts at the addresses that its components ask for. */
function grafanaFiles(): Plugin {
  async function serve(request: IncomingMessage, response: ServerResponse, next: () => void): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const file = await find(pathname)
    if (file === undefined) return next()
    response.setHeader('content-type', pathname.endsWith('.svg') ? 'image/svg+xml' : 'font/woff2')
    response.end(file)
  }
  return {
    name: 'grafana-files',
    configureServer: (server) => void server.middlewares.use(serve),
    configurePreviewServer: (server) => void server.middlewares.use(serve),
  }
}

export default defineConfig({
  root: join(here, 'page'),
  plugins: [react(), grafanaFiles()],
  build: { outDir: join(here, 'dist'), emptyOutDir: true, chunkSizeWarningLimit: 20_000 },
  logLevel: 'warn',
})
