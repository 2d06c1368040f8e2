/**
 * The law that the governor does not use, kept so that the comparison can be made again: additive increase, multiplicative
 * decrease, as TCP does. A whole attempt more where whole attempts run, a fiftieth where they run with pauses.
 */
export function aimd(limit: number, pressure: number): number {
  if (pressure > 1) return limit * 0.7
  return limit + (limit < 1 ? 0.02 : 1)
}
