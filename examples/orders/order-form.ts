import { HttpError } from './errors.ts'

/** Prices in cents. */
export const CATALOGUE = { mug: 900, poster: 1_500, shirt: 2_400 } as const
export type Item = keyof typeof CATALOGUE

/** What a customer asks for. */
export interface OrderForm {
  readonly customer: string
  readonly item: Item
  readonly quantity: number
  readonly card: string
  /** Seconds until the card is charged: until then the order can be cancelled. */
  readonly payIn: number
}

const LONGEST_WAIT = 86_400

/** @throws HttpError 400, which says what is wrong with the field. */
export function readOrderForm(body: unknown): OrderForm {
  if (typeof body !== 'object' || body === null) wrong('body', 'Send the order as a JSON object.')
  const { customer, item, quantity, card, payIn = 0 } = body as Record<string, unknown>
  if (typeof customer !== 'string' || !/^\S+@\S+$/.test(customer) || customer.length > 200) {
    wrong('customer', 'The field "customer" is a mail address.')
  }
  if (typeof item !== 'string' || !Object.hasOwn(CATALOGUE, item)) {
    wrong('item', `The field "item" is one of ${Object.keys(CATALOGUE).join(', ')}.`)
  }
  if (!isWhole(quantity, 1, 20)) wrong('quantity', 'The field "quantity" is a whole number from 1 to 20.')
  if (typeof card !== 'string' || !/^\d{16}$/.test(card)) wrong('card', 'The field "card" is a number of 16 digits.')
  if (!isWhole(payIn, 0, LONGEST_WAIT)) {
    wrong('payIn', `The field "payIn" is a whole number of seconds from 0 to ${LONGEST_WAIT}.`)
  }
  return { customer, item: item as Item, quantity, card, payIn }
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max
}

function wrong(field: string, message: string): never {
  throw new HttpError(400, `wrong_${field}`, message)
}
