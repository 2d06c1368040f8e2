import { createHash } from 'node:crypto'
import { RETENTION } from './job-options.ts'

/**
 * The statements for which pg-boss has no function: those that group what has different fates, that touch only the
 * attempt meant, or that know times below a second. They use columns that pg-boss documents as the fields of its jobs.
 */
export interface Statements {
  readonly insert: string
  readonly present: string
  readonly state: string
  readonly settle: string
  readonly limit: string
  readonly touch: string
  readonly reclaim: string
  readonly nextDue: string
  readonly cancel: string
  readonly depth: string
  readonly queueRow: string
}

/** By how much the end that pg-boss knows of is kept ahead of a process that gives signs of life, in s. */
export const EXPIRY_AHEAD = 3_600
/** The channel on which pg-boss tells its own workers, so that ours and theirs wake each other. */
export function channelOf(schema: string): string {
  return `pgboss_${createHash('sha224').update(schema).digest('hex').slice(0, 24)}`
}

export function statementsFor(schema: string): Statements {
  const job = `${schema}.job`
  const state = `${schema}.job_state`
  const attempts = (columns: string) => `json_to_recordset($2::text::json) AS i (id uuid, attempt int${columns})`
  /** The attempt meant, and no later one: every start counts `retry_count` up. */
  const fence = `j.name = $1 AND j.id = i.id AND j.state = 'active' AND j.retry_count = i.attempt`
  const seconds = (column: string) => `make_interval(secs => ${column} / 1000)`
  const counted = (name: string) => `CASE WHEN jsonb_typeof(output -> 'afterspan' -> '${name}') = 'number'
      THEN (output -> 'afterspan' ->> '${name}')::int ELSE 0 END`
  return {
    /*
     * A key lets one unfinished job be: pg-boss has a unique index for jobs of its policy 'exclusive' (waiting, to be
     * retried, active), and the policy stands in each job. So only those with a key get it. With a queue of this
     * policy, all jobs without a key would be one another's.
     */
    insert: `
      WITH sent AS (
        INSERT INTO ${job} (id, name, data, priority, start_after, created_on, singleton_key, policy, retry_limit,
          retry_delay, retry_backoff, retry_delay_max, expire_seconds, deletion_seconds, keep_until, dead_letter,
          heartbeat_seconds)
        SELECT i.id, $1, i.data, i.priority, now() + ${seconds('i.delay')}, now(), i.key,
          CASE WHEN i.key IS NULL THEN 'standard' ELSE 'exclusive' END, $3::int, $4::int, $5::bool, $6::int, $7::int,
          $8::int, now() + interval '${RETENTION} s', q.dead_letter, $9::int
        FROM json_to_recordset($2::text::json) AS i (id uuid, data jsonb, priority int, delay float8, key text)
        LEFT JOIN ${schema}.queue q ON q.name = $1
        ON CONFLICT DO NOTHING
        RETURNING id
      ), told AS (SELECT pg_notify('${channelOf(schema)}', $1) FROM sent LIMIT 1)
      SELECT id FROM sent WHERE (SELECT count(*) FROM told) >= 0`,
    present: `SELECT id FROM ${job} WHERE name = $1 AND id = ANY($2::uuid[])`,
    state: `SELECT state, retry_count AS attempt FROM ${job} WHERE name = $1 AND id = $2::uuid`,
    settle: `
      UPDATE ${job} j SET
        state = i.state::${state},
        completed_on = CASE WHEN i.state IN ('completed', 'failed') THEN now() END,
        start_after = CASE WHEN i.delay IS NULL THEN j.start_after ELSE now() + ${seconds('i.delay')} END,
        heartbeat_on = NULL,
        output = i.output,
        data = CASE WHEN i.failures IS NULL THEN j.data
          ELSE jsonb_set(j.data, '{afterspan,failures}', to_jsonb(i.failures)) END,
        retry_limit = j.retry_limit + CASE WHEN i.released THEN 1 ELSE 0 END,
        deletion_seconds = CASE WHEN i.state = 'failed' THEN $3::int ELSE j.deletion_seconds END
      FROM ${attempts(', state text, released bool, delay float8, failures int, output jsonb')}
      WHERE ${fence}
      RETURNING j.id`,
    limit: `
      UPDATE ${job} j SET retry_limit = j.retry_count, deletion_seconds = $3::int
      FROM ${attempts('')}
      WHERE ${fence}
      RETURNING j.id`,
    /*
     * Also for the jobs of others, which may have no heartbeat, a slower one, or an end of 15 minutes: a job is to be
     * somebody else's when its process is silent, however long it takes.
     */
    touch: `
      UPDATE ${job} j SET
        heartbeat_on = now(),
        heartbeat_seconds = $3::int,
        expire_seconds = greatest(j.expire_seconds, extract(epoch FROM now() - j.started_on)::int + $4::int)
      FROM ${attempts('')}
      WHERE ${fence}
      RETURNING j.id`,
    /*
     * Not left to pg-boss's own supervision, which looks once a minute. Its limit is half a time longer (see
     * \`heartbeatSeconds\`), so that it comes second while there is a consumer.
     */
    reclaim: `
      UPDATE ${job} SET
        state = 'retry',
        start_after = now(),
        heartbeat_on = NULL,
        retry_limit = retry_limit + 1,
        output = CASE WHEN jsonb_typeof(output) = 'object' THEN output ELSE '{}' END
          || jsonb_build_object('afterspan', jsonb_build_object(
            'extra', ${counted('extra')} + 1, 'lost', ${counted('lost')} + 1, 'redelivered', true))
      WHERE name = $1 AND state = 'active' AND heartbeat_on < now() - heartbeat_seconds * interval '0.66666 s'
      RETURNING id`,
    nextDue: `
      SELECT extract(epoch FROM least(
        (SELECT start_after FROM ${job} WHERE name = $1 AND state = 'created' AND NOT blocked ORDER BY start_after LIMIT 1),
        (SELECT start_after FROM ${job} WHERE name = $1 AND state = 'retry' AND NOT blocked ORDER BY start_after LIMIT 1)
      ) - now()) * 1000 AS due`,
    cancel: `
      UPDATE ${job} SET state = 'cancelled', completed_on = now()
      WHERE name = $1 AND id = $2::uuid AND state IN ('created', 'retry')
      RETURNING id`,
    // With the predicate of pg-boss's index \`job_i14\`, so that what is completed is not looked at.
    depth: `
      SELECT
        count(*) FILTER (WHERE state IN ('created', 'retry') AND start_after <= now() AND NOT blocked) AS waiting,
        count(*) FILTER (WHERE state IN ('created', 'retry') AND (start_after > now() OR blocked)) AS delayed,
        count(*) FILTER (WHERE state = 'active') AS active,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        extract(epoch FROM now() - min(start_after) FILTER (WHERE state IN ('created', 'retry') AND start_after <= now()
          AND NOT blocked)) AS oldest
      FROM ${job}
      WHERE name = $1 AND state IN ('created', 'retry', 'active', 'failed')`,
    queueRow: `SELECT policy, partition FROM ${schema}.queue WHERE name = $1`,
  }
}
