import type { Now, Quantiles } from '../../protocol.ts'
import { useRowLinks } from '../parts/row-links.ts'
import { Scroll } from '../parts/scroll.tsx'
import { Empty } from '../parts/states.tsx'
import { Name } from '../parts/text.tsx'
import { href } from '../router.ts'
import { count, duration } from '../words/format.ts'

/** The event loop's delay with and without tasks, and which of them hold it. */
export function Loop({ now }: { now: Now }) {
  const { loop, requests } = now
  const table = useRowLinks<HTMLTableElement>()
  return (
    <section class="loop" aria-labelledby="loop-title">
      <h2 id="loop-title">Event loop, last 5 minutes</h2>
      <div class="columns">
        <Scroll label="Delay of the event loop">
          <table class="plain">
            <caption>Delay, and what requests pay</caption>
            <thead>
              <tr>
                <th scope="col">What</th>
                <th scope="col">p50</th>
                <th scope="col">p95</th>
                <th scope="col">p99</th>
                <th scope="col">max</th>
              </tr>
            </thead>
            <tbody>
              <Line title="Loop delay, tasks running" of={loop.running} />
              <Line title="Loop delay, none running" of={loop.idle} />
              <Line title="Requests, tasks running" of={requests.running} />
              <Line title="Requests, none running" of={requests.idle} />
            </tbody>
          </table>
        </Scroll>
        {loop.blockers.length === 0 ? (
          <Empty title="No task held the event loop for 20 ms or more." />
        ) : (
          <Scroll label="Who blocks the event loop">
            <table class="plain" ref={table}>
              <caption>Who blocks it</caption>
              <thead>
                <tr>
                  <th scope="col">Task</th>
                  <th scope="col">In all</th>
                  <th scope="col">Longest</th>
                  <th scope="col">Stalls</th>
                  <th scope="col" class="words">
                    Where
                  </th>
                </tr>
              </thead>
              <tbody>
                {loop.blockers.map(({ task, seconds, longest, stalls, place }) => (
                  <tr key={`${task} ${place}`}>
                    <th scope="row">
                      <a class="row-link" href={href({ screen: 'task', name: task, range: 900 })}>
                        <Name text={task} length={40} />
                      </a>
                    </th>
                    <td>{duration(seconds)}</td>
                    <td>{duration(longest)}</td>
                    <td>{count(stalls)}</td>
                    <td class="words">
                      {place === null ? <span class="quiet">not known</span> : <Name text={place} length={60} />}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </div>
    </section>
  )
}

function Line({ title, of }: { title: string; of: Quantiles }) {
  return (
    <tr>
      <th scope="row">{title}</th>
      <td>{duration(of.p50)}</td>
      <td>{duration(of.p95)}</td>
      <td>{duration(of.p99)}</td>
      <td>{duration(of.max)}</td>
    </tr>
  )
}
