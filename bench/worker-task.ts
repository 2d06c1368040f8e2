/** Computes for so many ms. */
export function burn(ms: number): number {
  const until = performance.now() + ms
  let sum = 0
  while (performance.now() < until) for (let i = 0; i < 1_000; i++) sum = (sum * 31 + i) | 0
  return sum
}

export default burn
