/** The core of Afterspan: tasks, without a framework. */
export type { BatchContext, BatchHandler, BatchItem, Handler, TaskContext, TaskHandle } from './background/deferral.ts'
export type { EventName, Listener, TaskEvents } from './background/events.ts'
export type { ForegroundFigures } from './background/foreground.ts'
export type { GovernorFigures } from './background/governor.ts'
export type { HeapFigures } from './background/heap-guard.ts'
export type {
  CloseOptions,
  EngineFigures,
  EngineTask,
  Snapshot,
  Task,
  TasksOptions,
  WorkOptions,
} from './background/public.ts'
export type { Tasks } from './background/tasks.ts'
export { createTasks } from './create-tasks.ts'
export type {
  Carrier,
  ConsumeOptions,
  Consumer,
  Depth,
  Engine,
  EngineQueue,
  EngineTaskPlan,
  Failure,
  Message,
  Taken,
} from './model/engine.ts'
export { Abandon, AfterspanError, CancelledError, type ErrorCode, RetryAfter, TimeoutError } from './model/errors.ts'
export { imbalance, type Ledger } from './model/ledger.ts'
export type {
  BatchOptions,
  DeferOptions,
  EngineTaskOptions,
  GovernorOptions,
  Limits,
  Logger,
  ProfileOptions,
  RetryOptions,
  Schema,
  ShutdownOptions,
  TaskOptions,
} from './model/options.ts'
export type { Origin } from './model/origin.ts'
export type { RetryBudget, RetryPlan } from './model/retry.ts'
export type { UndeclaredFigures } from './model/undeclared.ts'
export type { EngineState, OnEnding, Outcome, Priority, Relation, Result, State, TaskMode } from './model/words.ts'
export type { TaskFigures } from './stats/figures.ts'
export type { Distribution } from './stats/sketch.ts'
