import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The command with all that it uses in one file: the builders of dashboards are no dependency of an app. */
export default defineConfig({
  root,
  logLevel: 'warn',
  ssr: { noExternal: true, target: 'node' },
  build: {
    ssr: 'src/cli/afterspan.ts',
    outDir: 'dist/cli',
    emptyOutDir: true,
    target: 'node22',
    minify: true,
    sourcemap: false,
    license: { fileName: 'THIRD-PARTY.md' },
    rolldownOptions: { output: { entryFileNames: 'afterspan.js' } },
  },
})
