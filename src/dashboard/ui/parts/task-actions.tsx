import type { TaskMode, TaskRow } from '../../protocol.ts'
import { config } from '../config.ts'
import { encode } from '../router.ts'
import { type Action, confirm } from './confirm.tsx'

interface Step {
  readonly step: 'pause' | 'resume' | 'drain'
  readonly verb: string
  readonly consequence: string
  readonly done: (name: string) => string
}

const PAUSE: Step = {
  step: 'pause',
  verb: 'Pause',
  consequence: 'No attempt starts until it is resumed. What runs goes on, and what is deferred waits.',
  done: (name) => `${name} is paused`,
}
const DRAIN: Step = {
  step: 'drain',
  verb: 'Drain',
  consequence: 'What is deferred to it from now on is dropped, until it is resumed. What waits is still run.',
  done: (name) => `${name} is draining`,
}
const RESUME: Step = {
  step: 'resume',
  verb: 'Resume',
  consequence: 'It takes in what is deferred and starts attempts again, as its limits allow.',
  done: (name) => `${name} runs again`,
}

const STEPS: Record<TaskMode, readonly Step[]> = {
  running: [PAUSE, DRAIN],
  paused: [RESUME, DRAIN],
  draining: [RESUME, PAUSE],
}

/** Nothing where actions are off, nor for a task of an engine, whose queue is also other processes'. */
export function TaskActions({ row, done = () => {} }: { row: TaskRow; done?: () => void }) {
  if (!config.actions || row.engine) return null
  const ask = ({ step, verb, consequence, done: said }: Step) => {
    const path = `api/tasks/${encode(row.name)}/${step}`
    const action: Action = { verb, subject: row.name, consequence, done: said(row.name.slice(0, 80)), path }
    confirm(action, done)
  }
  return (
    <span class="actions">
      {STEPS[row.mode].map((step) => (
        <button key={step.step} type="button" class="small" onClick={() => ask(step)}>
          {step.verb}
          <span class="hidden"> {row.name.slice(0, 80)}</span>
        </button>
      ))}
    </span>
  )
}
