/** Milliseconds until the next try after `failures` in a row: 1, 2, 4 … 30 s, spread so that many pages do not come at once. */
export function backoff(failures: number, random: () => number = Math.random): number {
  const full = Math.min(30_000, 1_000 * 2 ** Math.max(0, failures - 1))
  return Math.round(full * (0.75 + random() / 4))
}
