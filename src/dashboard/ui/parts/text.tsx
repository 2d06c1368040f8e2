import { useState } from 'preact/hooks'
import { count } from '../words/format.ts'
import { cut, manyLines, oneLine } from '../words/visible.ts'

/** A name from outside on one line: its direction stays its own, what cannot be seen is spelled out. */
export function Name({ text, length = 120 }: { text: string; length?: number }) {
  const short = cut(text, length)
  return (
    <bdi class="name" data-tip={short === text ? undefined : text.slice(0, 600)}>
      {oneLine(short)}
      {short === text ? '' : '…'}
    </bdi>
  )
}

/** Of the request; null where there was none. */
export function Route({ route, length }: { route: string | null; length: number }) {
  return route === null ? <span class="quiet">none</span> : <Name text={route} length={length} />
}

/** A text from outside that may have many lines, or ten million characters. */
export function LongText({ text, length = 400, code = false }: { text: string; length?: number; code?: boolean }) {
  const [all, setAll] = useState(false)
  const short = all ? text : cut(text, length)
  const Tag = code ? 'pre' : 'span'
  return (
    <span class="long">
      <Tag class="text">
        <bdi>
          {manyLines(short)}
          {short === text ? '' : '…'}
        </bdi>
      </Tag>
      {text.length > length && (
        <button type="button" class="link" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? 'show less' : `show all (${count(text.length)} characters)`}
        </button>
      )}
    </span>
  )
}

/** For screen readers only. */
export function Hidden({ children }: { children: string }) {
  return <span class="hidden">{children}</span>
}
