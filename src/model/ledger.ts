import { OUTCOMES, type Outcome, STATES, type State } from './words.ts'

/** The counts that always balance: deferred + taken = the sum of the outcomes + the sum of the states + returned. */
export interface Ledger {
  readonly deferred: number
  /** Jobs that an engine has given to this process. */
  readonly taken: number
  /** Of these, those that it has back, for another attempt. */
  readonly returned: number
  readonly outcomes: Readonly<Record<Outcome, number>>
  readonly states: Readonly<Record<State, number>>
  /** Handlers that run on after their attempt ended; their deferrals are counted under outcome or state. */
  readonly zombies: number
}

/** By how much the ledger fails to balance; 0 unless Afterspan has a fault. */
export function imbalance(ledger: Ledger): number {
  let difference = ledger.deferred + ledger.taken - ledger.returned
  for (const outcome of OUTCOMES) difference -= ledger.outcomes[outcome]
  for (const state of STATES) difference -= ledger.states[state]
  return difference
}

/** Unfinished deferrals. */
export function unfinished(ledger: Ledger): number {
  return STATES.reduce((sum, state) => sum + ledger.states[state], 0)
}

/** The ledger in one line, for the log. */
export function ledgerLine(ledger: Ledger): string {
  const outcomes = OUTCOMES.map((outcome) => `${ledger.outcomes[outcome]} ${outcome.replace('_', ' ')}`).join(', ')
  const left = unfinished(ledger)
  const rest = [
    left > 0 ? `${left} unfinished` : '',
    ledger.zombies > 0 ? `${ledger.zombies} handlers still running` : '',
    imbalance(ledger) !== 0 ? `OUT OF BALANCE BY ${imbalance(ledger)}` : '',
  ].filter((part) => part !== '')
  const { deferred, taken, returned } = ledger
  const engines = taken > 0 ? ` + ${taken} taken from engines` : ''
  const back = taken > 0 ? `, ${returned} returned to them` : ''
  return [`${deferred} deferred${engines} = ${outcomes}${back}`, ...rest].join('; ')
}
