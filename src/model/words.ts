/**
 * The words of Afterspan, as values and as types. The same words stand in code, telemetry, documents and dashboards.
 */

/** Which ready task starts first. Within one priority: first in, first out. */
export const PRIORITIES = ['high', 'medium', 'low'] as const
export type Priority = (typeof PRIORITIES)[number]

/** Where a deferral can be before its outcome. */
export const STATES = ['held', 'delayed', 'ready', 'running', 'retrying'] as const
export type State = (typeof STATES)[number]

/** How one attempt (one run of the handler) ends. */
export const RESULTS = ['ok', 'error', 'timeout', 'cancelled'] as const
export type Result = (typeof RESULTS)[number]

/** What a task does with what is deferred: `paused`: takes it in and starts nothing; `draining`: starts what waits, takes no more. */
export const MODES = ['running', 'paused', 'draining'] as const
export type TaskMode = (typeof MODES)[number]

/** How a deferral ends, exactly once. */
export const OUTCOMES = ['completed', 'failed', 'cancelled', 'dropped', 'handed_off'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** How a task's spans hang on the trace of the request that asked for it. */
export const RELATIONS = ['child', 'link', 'none'] as const
export type Relation = (typeof RELATIONS)[number]

/** Where a task can be in an engine: failed ones are kept there to be looked at. */
export const ENGINE_STATES = ['waiting', 'delayed', 'active', 'failed'] as const
export type EngineState = (typeof ENGINE_STATES)[number]

/** What to do with a request's held tasks when its response was aborted or ended in an error. */
export const ENDINGS = ['run', 'cancel'] as const
export type OnEnding = (typeof ENDINGS)[number]

/** The name that stands for all names beyond a limit (`limits`). */
export const OTHER = '_other'
