import { setTimeout as sleep } from 'node:timers/promises'
import { Abandon } from 'afterspan'

/** Cards for trying it out, as payment services have them. */
export const CARDS = {
  good: '4242424242424242',
  declined: '4000000000000002',
  /** The bank never has an answer for it. */
  broken: '4000000000000119',
} as const

/** No further attempt can succeed. */
export class CardDeclined extends Abandon {
  override readonly name = 'CardDeclined'
}

export class BankBusy extends Error {
  override readonly name = 'BankBusy'
}

export interface Charge {
  readonly number: number
  readonly total: number
  readonly card: string
}

/**
 * A bank that is not there. How often it is busy before it charges looks random and comes from the order's number, so that two
 * runs are alike.
 *
 * @throws CardDeclined, BankBusy.
 */
export async function charge({ number, card }: Charge, attempt: number, signal: AbortSignal): Promise<void> {
  const dice = diceOf(number)
  await sleep(40 + dice, undefined, { signal })
  if (card === CARDS.declined) throw new CardDeclined('The bank declines this card.')
  if (card === CARDS.broken || attempt <= busyTimes(dice)) throw new BankBusy('The bank is busy.')
}

/** From 0 to 99. */
function diceOf(number: number): number {
  return (Math.imul(number, 0x9e3779b1) >>> 0) % 100
}

function busyTimes(dice: number): number {
  return dice < 6 ? 2 : dice < 20 ? 1 : 0
}
