/** Writes the dashboards and rules with the default parameters. `npm run grafana`; a test fails when they are stale. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generatedFiles } from './source/files.ts'

for (const [path, text] of generatedFiles()) {
  const file = fileURLToPath(new URL(path, import.meta.url))
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}
