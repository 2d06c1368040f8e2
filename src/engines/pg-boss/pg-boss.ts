import { createRequire } from 'node:module'
import type { Engine } from '../../model/engine.ts'
import { AfterspanError } from '../../model/errors.ts'
import { Connection } from './connection.ts'
import { checkOptions, type PgBossOptions } from './options.ts'
import { PgBossQueue } from './queue.ts'

/**
 * Tasks on pg-boss: `tasks.define(name, handler, { engine: pgBoss({ connectionString }) })`. Each task has a queue of
 * its own in PostgreSQL, made when it is first needed, with jobs that any pg-boss worker can run (the payload is in
 * `data.payload`), and that any pg-boss producer can add.
 *
 * @throws AfterspanError ERR_AFTERSPAN_OPTION, ERR_AFTERSPAN_MISSING_PEER; by `tasks.define`: ERR_AFTERSPAN_ENGINE for a
 * name that pg-boss does not take, or that another task has.
 */
export function pgBoss(options: PgBossOptions): Engine {
  const settings = checkOptions(options)
  const { source, queueName } = settings
  const needed = { server: ['pg-boss'], pglite: ['pg-boss', '@electric-sql/pglite'], boss: [] }[source.kind]
  checkPeers(needed)
  const connection = new Connection(settings)
  const names = new Set<string>()
  return {
    system: 'pg-boss',
    sending: { timeout: settings.sendTimeout, buffer: settings.buffer },
    define(task, plan) {
      const name = queueName(task)
      if (typeof name !== 'string' || !/^[\w.\-/]+$/.test(name)) {
        throw new AfterspanError(
          'ERR_AFTERSPAN_ENGINE',
          `pg-boss takes no queue of the name ${JSON.stringify(name)} for task "${task}": only letters, digits, "_", "-", "." and "/". Map it by the option \`queueName\`.`,
        )
      }
      if (names.has(name)) {
        throw new AfterspanError(
          'ERR_AFTERSPAN_ENGINE',
          `Task "${task}" cannot have the queue "${name}", which another task has. Map each to its own by \`queueName\`.`,
        )
      }
      names.add(name)
      return new PgBossQueue({ connection, settings, name, task, plan })
    },
    close: () => connection.close(),
  }
}

function checkPeers(names: readonly string[]): void {
  const require = createRequire(import.meta.url)
  for (const name of names) {
    try {
      require.resolve(name)
    } catch (cause) {
      throw new AfterspanError(
        'ERR_AFTERSPAN_MISSING_PEER',
        `afterspan/pg-boss needs a package that is not installed. Run: npm install ${names.join(' ')}`,
        { cause },
      )
    }
  }
}
