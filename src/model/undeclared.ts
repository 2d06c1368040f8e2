/** Work of one kind that went on after responses, without being a task. */
export interface UndeclaredFigures {
  /** The route of the requests; undefined where they had none. */
  readonly route: string | undefined
  /** The name of the work's span. */
  readonly span: string
  readonly count: number
  /** Seconds after the response, all together and the longest. */
  readonly total: number
  readonly max: number
  /** Of the latest. */
  readonly traceId: string
}
