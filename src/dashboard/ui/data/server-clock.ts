let ahead = 0

/** Takes a moment that the server has just told; small differences are the way of the answer, not the clock. */
export function learnServerTime(at: number): void {
  const difference = at - Date.now()
  ahead = Math.abs(difference) > 2_000 ? difference : 0
}

/** The server's time: the clock of who looks at the page may be wrong, and ages must be right all the same. */
export function serverNow(): number {
  return Date.now() + ahead
}
