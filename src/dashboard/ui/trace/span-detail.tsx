import type { ComponentChildren } from 'preact'
import type { TraceSpan } from '../../protocol.ts'
import { Copy } from '../parts/copy.tsx'
import { LongText, Name } from '../parts/text.tsx'
import { Moment } from '../parts/time.tsx'
import { href } from '../router.ts'
import { Result } from '../task/attempts.tsx'
import { duration } from '../words/format.ts'
import { keyOf } from './layout.ts'

interface Props {
  readonly span: TraceSpan
  /** Epoch ms. */
  readonly start: number
  /** Names of the spans that are on the page. */
  readonly known: ReadonlyMap<string, string>
  readonly select: (key: string) => void
}

/** All that is known of one span. */
export function SpanDetail({ span, start, known, select }: Props) {
  const { task } = span
  return (
    <section class="detail" aria-label="Span">
      <h2>
        <Name text={span.name} length={120} />
      </h2>
      {span.error !== null && (
        <p class="failure">
          <LongText text={span.error} length={500} />
        </p>
      )}
      <dl class="options">
        <Entry title="started">
          <Moment at={span.start} />
          <span class="quiet"> at {duration((span.start - start) / 1_000)}</span>
        </Entry>
        <Entry title="took">
          {span.end === null ? 'not ended' : duration((span.end - span.start) / 1_000)}
          {span.late && <span class="quiet"> (after the response)</span>}
        </Entry>
        <Entry title="kind">{span.kind}</Entry>
        {task && (
          <>
            <Entry title="task">
              <a href={href({ screen: 'task', name: task.name, range: 900 })}>
                <Name text={task.name} length={80} />
              </a>
            </Entry>
            <Entry title="attempt">{task.attempt}</Entry>
            <Entry title="wait">{duration(task.wait)}</Entry>
            <Entry title="result">{task.result === null ? 'running' : <Result result={task.result} />}</Entry>
            <Entry title="task id">
              <span class="mono">
                <Name text={task.id} length={60} />
              </span>{' '}
              <Copy text={task.id} what="task id" />
            </Entry>
          </>
        )}
        <Entry title="span id">
          <span class="mono">
            <Name text={span.spanId} length={40} />
          </span>{' '}
          <Copy text={span.spanId} what="span id" />
        </Entry>
      </dl>
      {span.links.length > 0 && (
        <>
          <h3>Links</h3>
          <ul class="links-list">
            {span.links.map((link) => {
              const name = known.get(keyOf(link))
              return (
                <li key={keyOf(link)}>
                  {name === undefined ? (
                    <a class="mono" href={href({ screen: 'trace', traceId: link.traceId, spanId: link.spanId })}>
                      trace {link.traceId.slice(0, 16)}…
                    </a>
                  ) : (
                    <button type="button" class="link" onClick={() => select(keyOf(link))}>
                      <Name text={name} length={80} />
                    </button>
                  )}
                </li>
              )
            })}
          </ul>
        </>
      )}
      <h3>Attributes</h3>
      {span.attributes.length === 0 ? <p class="quiet">none</p> : <Attributes of={span.attributes} />}
      {span.events.length > 0 && (
        <>
          <h3>Events</h3>
          <ol class="events">
            {span.events.map((event, index) => (
              <li key={`${event.at} ${index}`}>
                <p>
                  <b>{duration(Math.max(0, event.at - span.start) / 1_000)}</b> <Name text={event.name} length={80} />
                </p>
                <Attributes of={event.attributes} />
              </li>
            ))}
          </ol>
        </>
      )}
    </section>
  )
}

function Entry({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{title}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function Attributes({ of }: { of: TraceSpan['attributes'] }) {
  return (
    <dl class="attributes">
      {of.map(([key, value], index) => (
        <div key={`${key} ${index}`}>
          <dt>
            <Name text={key} length={60} />
          </dt>
          <dd>
            <LongText text={value} length={300} code={value.includes('\n')} />
          </dd>
        </div>
      ))}
    </dl>
  )
}
