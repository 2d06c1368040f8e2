import { type Line, paint } from './table.ts'

/**
 * Lines that scroll away, and below them, on a terminal, a block that is drawn anew in its place. Where the output is a pipe or a
 * file there is no such place: the block is then printed whole, whenever `block` is told to.
 */
export class Screen {
  readonly live: boolean
  readonly #out: NodeJS.WriteStream
  #drawn = 0
  #block: readonly Line[] = []
  #stopIntercepting: (() => void) | undefined

  constructor(out: NodeJS.WriteStream = process.stdout) {
    this.#out = out
    this.live = out.isTTY === true && process.env.TERM !== 'dumb'
    if (this.live) {
      out.write('\x1b[?25l')
      this.#stopIntercepting = this.#intercept(process.stderr)
    }
  }

  /** A line that stays. */
  print(...lines: (Line | string)[]): void {
    const text = lines.map((line) => `${typeof line === 'string' ? line : paint(line, this.#out)}\n`).join('')
    this.#out.write(this.#erase() + text + this.#draw())
  }

  /** Draws the block in place of the one before. */
  block(lines: readonly Line[]): void {
    if (!this.live) {
      this.print(...lines)
      return
    }
    const erase = this.#erase()
    this.#block = lines
    this.#out.write(erase + this.#draw())
  }

  /** Leaves the last block where it is, and the terminal as it was. */
  end(): void {
    if (!this.live) return
    this.#stopIntercepting?.()
    this.#block = []
    this.#drawn = 0
    this.#out.write('\x1b[?25h')
  }

  #erase(): string {
    const text = this.#drawn > 0 ? `\x1b[${this.#drawn}A\x1b[J` : ''
    this.#drawn = 0
    return text
  }

  /** A line that wraps, or a block higher than the terminal, could not be found again: both are cut. */
  #draw(): string {
    const lines = this.#block.slice(0, Math.max(0, (this.#out.rows ?? 24) - 1))
    this.#drawn = lines.length
    return lines.map((line) => `${paint(line, this.#out, (this.#out.columns ?? 80) - 1)}\n`).join('')
  }

  /** What others write to stderr would end up inside the block. */
  #intercept(stream: NodeJS.WriteStream): () => void {
    const { write } = stream
    stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
      this.#out.write(this.#erase())
      const accepted = (write as (...args: unknown[]) => boolean).call(stream, chunk, ...rest)
      this.#out.write(this.#draw())
      return accepted
    }) as typeof stream.write
    return () => {
      stream.write = write
    }
  }
}
