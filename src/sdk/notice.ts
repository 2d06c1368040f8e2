/**
 * The one way in which the set-up speaks: a line on stderr, for real problems only. OpenTelemetry's own diagnostics
 * (`OTEL_LOG_LEVEL`) are silent by default, which is how spans get lost without anybody knowing.
 */
export type Notice = (message: string) => void

export const notice: Notice = (message) => {
  process.stderr.write(`afterspan: ${message}\n`)
}
