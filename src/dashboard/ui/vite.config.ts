import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

/** The page with all that it uses, as static files with relative addresses: it is served below any path of an app. */
export default defineConfig({
  root: fileURLToPath(new URL('.', import.meta.url)),
  base: './',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: fileURLToPath(new URL('../../../dist/dashboard/ui', import.meta.url)),
    emptyOutDir: true,
    target: 'es2023',
    sourcemap: false,
    // Its polyfill would be one more thing to check against the content security policy, for browsers that lack light-dark().
    modulePreload: { polyfill: false },
    license: { fileName: 'THIRD-PARTY.md' },
  },
})
