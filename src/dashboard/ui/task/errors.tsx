import type { TaskDetail } from '../../protocol.ts'
import { Empty } from '../parts/states.tsx'
import { LongText, Name } from '../parts/text.tsx'
import { Time } from '../parts/time.tsx'
import { href } from '../router.ts'
import { count } from '../words/format.ts'

/** What went wrong, by type, each with its latest example and the way to its trace. */
export function Errors({ errors, task }: { errors: TaskDetail['errors']; task: string }) {
  if (errors.length === 0) return <Empty title="No error in this time." />
  return (
    <ul class="errors">
      {errors.map(({ type, count: times, lastAt, example }) => (
        <li key={type}>
          <p class="title">
            <strong>
              <Name text={type} length={80} />
            </strong>
            <span class="number">{count(times)}</span>
            <span class="quiet">
              last <Time at={lastAt} />
            </span>
            {example.traceId !== null && (
              <a href={href({ screen: 'trace', traceId: example.traceId, spanId: null })}>
                trace<span class="hidden"> of the example of {type.slice(0, 80)}</span>
              </a>
            )}
            <a href={href({ screen: 'traces', search: { task, error: type.slice(0, 200) } })}>
              all traces<span class="hidden"> with {type.slice(0, 80)}</span>
            </a>
          </p>
          <LongText text={example.message} length={300} />
          {example.stack !== null && (
            <details>
              <summary>
                stack<span class="hidden"> of {type.slice(0, 80)}</span>
              </summary>
              <LongText text={example.stack} length={4_000} code />
            </details>
          )}
        </li>
      ))}
    </ul>
  )
}
