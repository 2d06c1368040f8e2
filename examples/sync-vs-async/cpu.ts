/**
 * CPU-bound work: a password hash, in steps so that it can be interrupted. Whichever function does it, the steps and the
 * result are the same.
 */

import { pbkdf2, pbkdf2Sync } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'

const STEPS = 10
const inPool = promisify(pbkdf2)

/** Holds its thread until it is done. */
export function compute(iterations: number): string {
  let key: Buffer = Buffer.from('password')
  for (let step = 0; step < STEPS; step++) key = pbkdf2Sync(key, 'salt', iterations, 32, 'sha256')
  return key.toString('hex')
}

/** Async by its looks: what it awaits is there already, so the event loop gets no turn before the end. */
export async function computeAsync(iterations: number): Promise<string> {
  const next = async (key: Buffer) => pbkdf2Sync(key, 'salt', iterations, 32, 'sha256')
  let key: Buffer = Buffer.from('password')
  for (let step = 0; step < STEPS; step++) key = await next(key)
  return key.toString('hex')
}

/** Gives the event loop a turn after each step. */
export async function computeInSlices(iterations: number): Promise<string> {
  let key: Buffer = Buffer.from('password')
  for (let step = 0; step < STEPS; step++) {
    key = pbkdf2Sync(key, 'salt', iterations, 32, 'sha256')
    await setImmediate()
  }
  return key.toString('hex')
}

/** By the function that Node has in libuv's threads, as it has for zlib, and sharp for images. */
export async function computeInPool(iterations: number): Promise<string> {
  let key: Buffer = Buffer.from('password')
  for (let step = 0; step < STEPS; step++) key = await inPool(key, 'salt', iterations, 32, 'sha256')
  return key.toString('hex')
}

/** How many iterations take `ms` on this machine, by the fastest of many runs: the others were disturbed. */
export function calibrate(ms: number): number {
  const probe = 500
  let fastest = Number.POSITIVE_INFINITY
  for (const until = performance.now() + 500; performance.now() < until; ) {
    const started = performance.now()
    compute(probe)
    fastest = Math.min(fastest, performance.now() - started)
  }
  return Math.max(1, Math.round((probe * ms) / fastest))
}
