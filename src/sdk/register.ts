/**
 * `node --import afterspan/register server.js` (or `--require`): telemetry from the first line of the app on, set up by the
 * `OTEL_*` variables, and sent before the process ends. See `startTelemetry` in `afterspan/sdk`.
 */
import { isMainThread } from 'node:worker_threads'
import { flushAtExit } from './exit.ts'
import { startInThread, startOnce } from './start.ts'

// Worker threads inherit --import. What they trace is sent by the main thread; metrics are its alone.
if (isMainThread) {
  const telemetry = startOnce()
  if (telemetry.started) flushAtExit(telemetry, process)
} else {
  startInThread()
}
