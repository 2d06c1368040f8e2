import type { Config } from '../protocol.ts'

/** What the page knows without its server: enough to show figures, and no action. */
const BARE: Config = {
  version: '',
  service: '',
  actions: false,
  csrf: '',
  traceUrl: null,
  payloads: false,
  profiler: false,
}

function read(): Config {
  try {
    const given: unknown = JSON.parse(document.getElementById('config')?.textContent ?? '')
    return { ...BARE, ...(given as Partial<Config>) }
  } catch {
    return BARE
  }
}

export const config: Config = read()
