import type { TelemetryHealth } from '../protocol.ts'
import { useQuery } from './data/query.ts'
import { Meter } from './parts/meter.tsx'
import { Sign } from './parts/severity.tsx'
import { Loaded } from './parts/states.tsx'
import { Name } from './parts/text.tsx'
import { bytes, count } from './words/format.ts'

type Counts = TelemetryHealth['lost']

/** What the kit itself lost, capped or caught: whether the other screens can be believed. */
export function TelemetryScreen() {
  const query = useQuery<TelemetryHealth>('api/telemetry', 5_000)
  return (
    <>
      <h1>Telemetry health</h1>
      <Loaded query={query} rows={10}>
        {(health) => <Detail health={health} />}
      </Loaded>
    </>
  )
}

function Detail({ health }: { health: TelemetryHealth }) {
  const { lost, capped, caught, sampled, kept, tracing, ledger } = health
  return (
    <>
      <section class="process" aria-label="In short">
        <div class="cell">
          <h2>Tracing</h2>
          <p class="value">
            <Sign severity={tracing ? 'ok' : 'warn'} word="" />
            <b>{tracing ? 'on' : 'off'}</b>
          </p>
          {!tracing && <p class="note">No spans are recorded, so Traces stays empty.</p>}
        </div>
        <div class="cell wide">
          <h2>Ledger</h2>
          <p class="value">
            <Sign severity={ledger.balanced ? 'ok' : 'bad'} word="" />
            <b>{ledger.balanced ? 'balances' : 'does not balance'}</b>
          </p>
          <p class="note">
            <Name text={ledger.line} length={400} />
          </p>
        </div>
        <div class="cell">
          <h2>Kept for this page</h2>
          <Meter label="Memory for spans" used={kept.bytes} limit={kept.limit}>
            <b>{bytes(kept.bytes)}</b> of {bytes(kept.limit)}
          </Meter>
          <p class="note">
            {count(kept.spans)} spans of {count(kept.traces)} traces
          </p>
        </div>
      </section>
      <div class="columns">
        <Table title="Lost" none="Nothing was lost." of={lost} bad />
        <Table title="Caught" none="No error of a hook or an exporter was caught." of={caught} bad />
        <Table title="Capped" none="No limit of names was reached." of={capped} />
        <Table title="Sampled" none="No trace was left out by sampling." of={sampled} />
      </div>
    </>
  )
}

function Table({ title, none, of, bad = false }: { title: string; none: string; of: Counts; bad?: boolean }) {
  const some = of.filter(({ count: number }) => number > 0)
  return (
    <section aria-label={title}>
      <h2>
        {bad && <Sign severity={some.length > 0 ? 'warn' : 'ok'} word="" />} {title}
      </h2>
      {some.length === 0 ? (
        <p class="quiet">{none}</p>
      ) : (
        <table class="plain">
          <caption class="hidden">{title}, by reason</caption>
          <thead>
            <tr>
              <th scope="col">Reason</th>
              <th scope="col">Count</th>
            </tr>
          </thead>
          <tbody>
            {some.map(({ reason, count: number }) => (
              <tr key={reason}>
                <th scope="row">
                  <Name text={reason} length={120} />
                </th>
                <td>{count(number)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}
