import { href } from '../router.ts'
import { Name } from './text.tsx'

/** The name of the task that a list or a profile is of; it leads to the task. */
export function TaskHeading({ name }: { name: string }) {
  return (
    <h2>
      <a href={href({ screen: 'task', name, range: 900 })}>
        <Name text={name} length={80} />
      </a>
    </h2>
  )
}
