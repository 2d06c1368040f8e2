import { type ChildProcess, fork, type Serializable, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Seen } from '../../examples/image-service/demo/driver.ts'
import { bomb, cutOff } from '../../examples/image-service/demo/pictures.ts'
import { type Said, verify } from '../../examples/image-service/demo/verify.ts'
import type { ImageStatus } from '../../examples/image-service/images.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SERVICE = fileURLToPath(new URL('fixtures/image-service.ts', import.meta.url))
const WRONG_METRICS = fileURLToPath(new URL('fixtures/image-service-wrong-metrics.ts', import.meta.url))
const REGISTER = ['--import', 'afterspan/register']
const QUIET = { OTEL_TRACES_EXPORTER: 'none' }
const MAX_BYTES = 200_000
const MAX_PIXELS = 1_000_000

let temporary: string
let jpeg: Buffer

beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'image-service-test-'))
  jpeg = await sharp({ create: { width: 600, height: 400, channels: 3, background: '#36c' } })
    .jpeg()
    .toBuffer()
})

afterAll(() => rm(temporary, { recursive: true, force: true }))

class Service {
  static async start(options: object = {}): Promise<Service> {
    const child = fork(SERVICE, [JSON.stringify({ maxBytes: MAX_BYTES, maxPixels: MAX_PIXELS, ...options })], {
      cwd: ROOT,
      execArgv: REGISTER,
      env: { ...process.env, ...QUIET, TMPDIR: temporary },
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    const [ready] = (await once(child, 'message')) as [{ url: string; directory: string }]
    return new Service(child, ready.url, ready.directory)
  }

  readonly url: string
  readonly directory: string
  readonly #child: ChildProcess
  output = ''

  constructor(child: ChildProcess, url: string, directory: string) {
    this.#child = child
    this.url = url
    this.directory = directory
    child.stdout!.setEncoding('utf8').on('data', (text) => {
      this.output += text
    })
  }

  async tell(message: Serializable): Promise<void> {
    const answered = once(this.#child, 'message')
    this.#child.send(message)
    await answered
  }

  async stop(): Promise<number> {
    const exit = once(this.#child, 'exit')
    this.#child.disconnect()
    return ((await exit) as [number])[0]
  }

  async upload(fields: Record<string, string>, file: Buffer | undefined = jpeg, field = 'image'): Promise<Response> {
    const form = new FormData()
    for (const [name, value] of Object.entries(fields)) form.set(name, value)
    // The type that the client gives is never believed.
    if (file !== undefined) form.set(field, new Blob([Uint8Array.from(file)], { type: 'image/png' }), 'picture.png')
    return await fetch(`${this.url}/images`, { method: 'POST', body: form })
  }

  /** Uploads what is to be accepted. */
  async accepted(fields: Record<string, string>, file?: Buffer): Promise<string> {
    const response = await this.upload(fields, file)
    expect(response.status).toBe(202)
    return ((await response.json()) as { id: string }).id
  }

  async status(id: string): Promise<ImageStatus> {
    return (await (await fetch(`${this.url}/images/${id}`)).json()) as ImageStatus
  }

  async until(id: string, ...wanted: ImageStatus['status'][]): Promise<ImageStatus> {
    return await eventually(async () => {
      const status = await this.status(id)
      return wanted.includes(status.status) ? status : undefined
    })
  }

  files(folder: 'uploads' | 'results'): Promise<string[]> {
    return readdir(join(this.directory, folder))
  }

  async deferred(): Promise<number> {
    const health = (await (await fetch(`${this.url}/health/tasks`)).json()) as { total: { deferred: number } }
    return health.total.deferred
  }
}

/** Asks again until there is an answer. */
async function eventually<T>(ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 60_000
  for (;;) {
    const answer = await ask()
    if (answer !== undefined) return answer
    if (Date.now() > deadline) throw new Error('It did not happen within a minute.')
    await sleep(10)
  }
}

async function errorOf(response: Response): Promise<[number, string]> {
  expect(response.headers.get('content-type')).toContain('application/json')
  const { error } = (await response.json()) as { error: { code: string; message: string } }
  expect(error.message).toMatch(/\w/)
  return [response.status, error.code]
}

let service: Service | undefined

afterEach(async () => {
  const ending = service?.stop()
  service = undefined
  // Its directory goes with it, whatever happened in between.
  if (ending !== undefined) {
    expect(await ending).toBe(0)
    expect(await readdir(temporary)).toEqual([])
  }
})

describe('the image service', () => {
  it('answers 202 at once, tells how far an image is, and gives the result when it is there', async () => {
    service = await Service.start({ concurrency: 1 })
    await service.tell('hold')
    const response = await service.upload({ kind: 'thumbnail' })
    expect(response.status).toBe(202)
    const answer = (await response.json()) as { id: string; statusUrl: string }
    expect(answer).toEqual({ id: answer.id, kind: 'thumbnail', status: 'queued', statusUrl: `/images/${answer.id}` })
    expect(response.headers.get('location')).toBe(answer.statusUrl)
    const running = await service.until(answer.id, 'running')
    expect(running.startedAt).toBeDefined()
    expect(running.result).toBeUndefined()

    const next = await service.accepted({ kind: 'thumbnail' })
    expect((await service.status(next)).status).toBe('queued')
    for (const id of [answer.id, next]) {
      expect(await errorOf(await fetch(`${service.url}/images/${id}/result`))).toEqual([409, 'not_ready'])
    }

    await service.tell('release')
    const done = await service.until(answer.id, 'done')
    expect(done).toMatchObject({
      attempts: [{ result: 'ok' }],
      task: { name: 'thumbnail' },
      result: { url: `/images/${answer.id}/result`, width: 320, height: 213, type: 'image/webp' },
    })
    expect(Date.parse(done.finishedAt!)).toBeGreaterThanOrEqual(Date.parse(done.startedAt!))
    await service.until(next, 'done')
    await eventually(async () => ((await service!.files('uploads')).length === 0 ? true : undefined))
    expect((await service.files('results')).sort()).toEqual([answer.id, next].sort())
  })

  it.each([
    [{ kind: 'thumbnail' }, 'image/webp', { format: 'webp', width: 320, height: 213 }],
    [{ kind: 'filter' }, 'image/jpeg', { format: 'jpeg', width: 600, height: 400, space: 'b-w' }],
    [{ kind: 'filter', filter: 'blur' }, 'image/jpeg', { format: 'jpeg', width: 600, height: 400, space: 'srgb' }],
    [{ kind: 'filter', filter: 'sharpen' }, 'image/jpeg', { format: 'jpeg', width: 600, height: 400 }],
    [{ kind: 'other' }, 'image/avif', { format: 'heif', compression: 'av1', width: 600, height: 400 }],
  ])('makes a real image for %o', async (fields, type, metadata) => {
    service = await Service.start()
    const id = await service.accepted(fields as Record<string, string>)
    await service.until(id, 'done')
    const response = await fetch(`${service.url}/images/${id}/result`)
    expect(response.headers.get('content-type')).toBe(type)
    const image = sharp(Buffer.from(await response.arrayBuffer()))
    expect(await image.metadata()).toMatchObject(metadata)
    // All of it decodes, not the header only.
    await image.stats()
  })

  it('rejects what it cannot take with a JSON error, makes no task of it and leaves nothing on disk', async () => {
    service = await Service.start()
    const { url } = service
    const text = Buffer.from('not a picture at all, whatever its name says')
    const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    const webp = await sharp(jpeg).webp().toBuffer()
    const partOfWebp = webp.subarray(0, webp.length / 2)
    const large = Buffer.concat([jpeg, Buffer.alloc(MAX_BYTES)])
    const huge = (await bomb(30_000)).data
    const kind = 'thumbnail'
    expect(await errorOf(await service.upload({ kind }, text))).toEqual([415, 'not_an_image'])
    expect(await errorOf(await service.upload({ kind }, svg))).toEqual([415, 'not_an_image'])
    expect(await errorOf(await service.upload({ kind }, partOfWebp))).toEqual([415, 'not_an_image'])
    expect(await errorOf(await service.upload({ kind }, Buffer.alloc(0)))).toEqual([415, 'not_an_image'])
    expect(await errorOf(await service.upload({ kind }, large))).toEqual([413, 'too_large'])
    expect(await errorOf(await service.upload({ kind }, huge))).toEqual([413, 'too_many_pixels'])
    expect(await errorOf(await service.upload({ kind: 'poster' }))).toEqual([400, 'unknown_kind'])
    expect(await errorOf(await service.upload({ kind: 'toString' }))).toEqual([400, 'unknown_kind'])
    expect(await errorOf(await service.upload({}))).toEqual([400, 'unknown_kind'])
    expect(await errorOf(await service.upload({ kind: 'filter', filter: 'sepia' }))).toEqual([400, 'unknown_filter'])
    expect(await errorOf(await service.upload({ kind }, jpeg, 'picture'))).toEqual([400, 'unexpected_file'])
    expect(await errorOf(await service.upload({ kind: 'x'.repeat(1_000) }))).toEqual([400, 'bad_form'])
    const noFile = new FormData()
    noFile.set('kind', kind)
    expect(await errorOf(await fetch(`${url}/images`, { method: 'POST', body: noFile }))).toEqual([400, 'missing_file'])
    const json = { method: 'POST', body: '{"kind":"thumbnail"}', headers: { 'content-type': 'application/json' } }
    expect((await errorOf(await fetch(`${url}/images`, json)))[0]).toBe(400)
    const cut = {
      method: 'POST',
      body: '--x\r\nbroken',
      headers: { 'content-type': 'multipart/form-data; boundary=x' },
    }
    expect(await errorOf(await fetch(`${url}/images`, cut))).toEqual([400, 'bad_form'])
    expect(await errorOf(await fetch(`${url}/images/none`))).toEqual([404, 'unknown_image'])
    expect(await errorOf(await fetch(`${url}/images/none/result`))).toEqual([404, 'unknown_image'])
    expect(await errorOf(await fetch(`${url}/elsewhere`))).toEqual([404, 'not_found'])
    expect(await service.files('uploads')).toEqual([])
    expect(await service.files('results')).toEqual([])
    expect(await service.deferred()).toBe(0)
  })

  it('leaves nothing on disk when the client goes away in the middle of its upload', async () => {
    service = await Service.start()
    const { hostname, port } = new URL(service.url)
    const socket = connect(Number(port), hostname)
    socket.write(
      `POST /images HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: multipart/form-data; boundary=x\r\n` +
        'Content-Length: 100000\r\n\r\n--x\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n' +
        `Content-Type: image/jpeg\r\n\r\n${'.'.repeat(50_000)}`,
    )
    await eventually(async () => ((await service!.files('uploads')).length === 1 ? true : undefined))
    socket.destroy()
    await eventually(async () => ((await service!.files('uploads')).length === 0 ? true : undefined))
    expect(await service.deferred()).toBe(0)
  })

  it('accepts an image that breaks off after its header, and tells that its task failed', async () => {
    service = await Service.start()
    const id = await service.accepted({ kind: 'other' }, cutOff({ name: '', type: '', data: jpeg }).data)
    const failed = await service.until(id, 'failed')
    // A broken image stays broken: one attempt.
    expect(failed.attempts).toMatchObject([{ result: 'error' }])
    expect(failed.error).toMatchObject({ code: 'processing_failed', message: expect.stringContaining('premature end') })
    expect(failed.result).toBeUndefined()
    expect(await errorOf(await fetch(`${service.url}/images/${id}/result`))).toEqual([404, 'no_result'])
    await eventually(async () => ((await service!.files('uploads')).length === 0 ? true : undefined))
    expect(await service.files('results')).toEqual([])
  })

  it('tries again when the disk was busy, and keeps no half-written result', async () => {
    service = await Service.start()
    await service.tell('break EBUSY')
    const retried = await service.until(await service.accepted({ kind: 'thumbnail' }), 'done')
    expect(retried.attempts).toMatchObject([{ result: 'error' }, { result: 'ok' }])
    await service.tell('break EROFS')
    const failed = await service.until(await service.accepted({ kind: 'thumbnail' }), 'failed')
    expect(failed.attempts).toMatchObject([{ result: 'error' }])
    expect(await service.files('results')).toEqual([retried.id])
  })

  it('turns uploads away while too many wait, and keeps nothing of them', async () => {
    service = await Service.start({ concurrency: 1, queueLimit: 1 })
    await service.tell('hold')
    const first = await service.accepted({ kind: 'thumbnail' })
    await service.until(first, 'running')
    const second = await service.accepted({ kind: 'thumbnail' })
    const response = await service.upload({ kind: 'thumbnail' })
    expect(response.headers.get('retry-after')).toBe('5')
    expect(await errorOf(response)).toEqual([503, 'busy'])
    expect((await service.files('uploads')).length).toBe(2)
    await service.tell('release')
    for (const id of [first, second]) await service.until(id, 'done')
  })

  it('forgets the oldest finished image, with its result, beyond the number it keeps', async () => {
    service = await Service.start({ keep: 1 })
    const first = await service.accepted({ kind: 'thumbnail' })
    await service.until(first, 'done')
    const second = await service.accepted({ kind: 'thumbnail' })
    await service.until(second, 'done')
    await eventually(async () => ((await fetch(`${service!.url}/images/${first}`)).status === 404 ? true : undefined))
    await eventually(async () => ((await service!.files('results')).length === 1 ? true : undefined))
    expect(await service.files('results')).toEqual([second])
  })

  it('logs the time and the memory of each attempt', async () => {
    service = await Service.start()
    const id = await service.accepted({ kind: 'filter' })
    await service.until(id, 'done')
    const line = new RegExp(
      `^task=filter image=${id} task_id=\\S+ attempt=1 result=ok wait_ms=[\\d.]+ duration_ms=[\\d.]+ ` +
        'rss_mb=[\\d.]+ rss_change_mb=[+-][\\d.]+ heap_mb=[\\d.]+ heap_change_mb=[+-][\\d.]+$',
      'm',
    )
    await eventually(async () => (line.test(service!.output) ? true : undefined))
  })
})

const running = new Set<Run>()

afterEach(() => {
  for (const run of running) run.child.kill('SIGKILL')
})

/** Runs a program to its end. */
class Run {
  output = ''
  readonly child: ChildProcess
  readonly #exit: Promise<unknown[]>

  constructor(args: string[], env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(process.execPath, [...REGISTER, ...args], {
      cwd: ROOT,
      env: { ...process.env, ...env, TMPDIR: temporary },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(this)
    this.#exit = once(this.child, 'close').finally(() => running.delete(this))
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text) => {
        this.output += text
      })
    }
  }

  async says(what: string | RegExp): Promise<void> {
    await eventually(async () => (this.output.match(what) ? true : undefined))
  }

  async code(): Promise<unknown> {
    return (await this.#exit)[0] ?? this.child.signalCode
  }
}

const LEDGER = /afterspan: closed; (\d+) deferred = \d+ completed, \d+ failed, 0 cancelled, 0 dropped, 0 handed off/

describe('the server', () => {
  it('ends on SIGTERM, with the ledger and without its directory', async () => {
    const run = new Run(['examples/image-service/server.ts'], { ...QUIET, PORT: '0' })
    await run.says('image service on http://127.0.0.1:')
    run.child.kill('SIGTERM')
    expect(await run.code()).toBe(0)
    expect(run.output).toMatch(LEDGER)
    expect(await readdir(temporary)).toEqual([])
  })
})

describe('the demo', () => {
  it('finds in /metrics and /health/tasks what it has sent', async () => {
    const run = new Run(['examples/image-service/demo.ts', '--once', '--seconds', '5'])
    expect(await run.code(), run.output).toBe(0)
    expect(run.output).toMatch(/All \d+ figures are what was sent\./)
    expect(run.output).not.toContain('✗')
    // Failures, retries and rejections of each sort were among it.
    expect(run.output).toMatch(/failed +[1-9]\d* +[1-9]/)
    expect(run.output).toMatch(/attempts, error +[1-9]/)
    for (const status of [400, 413, 415]) expect(run.output).toMatch(new RegExp(`[1-9]\\d* × ${status}`))
    expect(run.output).toMatch(LEDGER)
    // Where no collector listens, that is said once.
    expect(
      run.output.match(/^afterspan: (spans do not reach|\d+ spans? w\S+ not sent)/gm)?.length ?? 0,
    ).toBeLessThanOrEqual(1)
    // A pipe gets no colours and no cursor movements.
    expect(run.output).not.toContain('\x1b')
    expect(await readdir(temporary)).toEqual([])
  })

  it('exits 1 when /metrics tells of a task too many', async () => {
    const run = new Run([WRONG_METRICS], QUIET)
    expect(await run.code(), run.output).toBe(1)
    expect(run.output).toMatch(/^1 of \d+ figures are wrong\.$/m)
    expect(run.output).toMatch(/completed +(\d+) .*✗/)
  })

  it.each([
    [[], 0],
    [['--once'], 130],
  ])('ends on Ctrl-C with the ledger (%j: exit code %i)', async (options, code) => {
    const run = new Run(['examples/image-service/demo.ts', '--log', ...options], QUIET)
    await run.says('task=filter')
    run.child.kill('SIGINT')
    expect(await run.code(), run.output).toBe(code)
    // On a busy machine what is queued does not always fit into the grace; then some of it is cancelled.
    expect(Number(/afterspan: closed; (\d+) deferred/.exec(run.output)?.[1])).toBeGreaterThan(0)
    expect(await readdir(temporary)).toEqual([])
  })

  it('says what its options are when it gets a wrong one', async () => {
    const run = new Run(['examples/image-service/demo.ts', '--seconds', 'soon'], QUIET)
    expect(await run.code()).toBe(2)
    expect(run.output).toContain('Expected --seconds to be a number')
  })
})

describe('the check of the demo', () => {
  const figures = (name: string, deferred: number) => ({
    name,
    deferred,
    completed: deferred,
    failed: 0,
    cancelled: 0,
    dropped: 0,
    attempts: { ok: deferred, error: 0, timeout: 0, cancelled: 0 },
    states: { held: 0, delayed: 0, ready: 0, running: 0, retrying: 0 },
    wait: { count: deferred },
    duration: { count: deferred },
  })

  const series = (name: string, priority: string, deferred: number) =>
    [
      `deferred_total{task_name="${name}"} ${deferred}`,
      ...['completed', 'failed', 'cancelled', 'dropped'].map(
        (o) => `finished_total{task_name="${name}",task_outcome="${o}"} ${o === 'completed' ? deferred : 0}`,
      ),
      ...['ok', 'error', 'timeout', 'cancelled'].map(
        (r) => `attempts_total{task_name="${name}",task_result="${r}"} ${r === 'ok' ? deferred : 0}`,
      ),
      `wait_seconds_count{task_name="${name}",task_priority="${priority}"} ${deferred}`,
      `duration_seconds_count{task_name="${name}",task_result="ok"} ${deferred}`,
      `effect_seconds_count{task_name="${name}",task_outcome="completed",http_route="/images"} ${deferred}`,
      `pending{task_name="${name}",task_state="ready"} 0`,
    ].map((line) => `afterspan_task_${line}\n`)

  const text = [
    ...series('thumbnail', 'high', 2),
    ...series('filter', 'medium', 0),
    ...series('encode-avif', 'low', 0),
    'afterspan_concurrency_used 0\n',
  ]
  const exemplar = `afterspan_task_wait_seconds_bucket{task_name="thumbnail",le="1.0"} 2 # {trace_id="t1",span_id="s"} 0.2 1\n`

  const final = (id: string) =>
    ({ id, kind: 'thumbnail', status: 'done', traceId: 't1', attempts: [{ result: 'ok' }] }) as unknown as ImageStatus
  const seen: Seen = {
    images: new Map(['a', 'b'].map((id) => [id, { kind: 'thumbnail', final: final(id) }])),
    turnedAway: new Map(),
    rejected: new Map([['415 not_an_image', 1]]),
    goodResults: 2,
    surprises: [],
  }
  const said = (): Said => ({
    plain: text.join(''),
    openMetrics: `${text.join('')}${exemplar}# EOF\n`,
    health: {
      tasks: [figures('thumbnail', 2), figures('filter', 0), figures('encode-avif', 0)],
      total: figures('total', 2),
      concurrency: { used: 0, limit: 2 },
    } as unknown as Said['health'],
    uploadsLeft: 0,
  })
  const wrong = (changedSeen: Partial<Seen>, changedSaid: Partial<Said>) =>
    verify({ ...seen, ...changedSeen }, { ...said(), ...changedSaid })
      .filter(({ ok }) => !ok)
      .map(({ about, what }) => `${about}: ${what}`)

  it('is content with the truth', () => {
    expect(wrong({}, {})).toEqual([])
  })

  it('sees each figure that is off by one, or missing, in either format', () => {
    for (const [i, line] of text.entries()) {
      const off = text
        .with(
          i,
          line.replace(/\d+\n/, (value) => `${Number(value) + 1}\n`),
        )
        .join('')
      const missing = text.toSpliced(i, 1).join('')
      expect(wrong({}, { plain: off }), line).not.toEqual([])
      expect(wrong({}, { openMetrics: off }), line).not.toEqual([])
      // A histogram without values has no series; everything else must be there.
      if (!/_count.* 0\n/.test(line)) expect(wrong({}, { plain: missing }), line).not.toEqual([])
    }
  })

  it('sees wrong figures in the health, strange exemplars, and what the driver itself found wrong', () => {
    const { health } = said()
    const lost = { ...health, tasks: health.tasks.slice(1) } as Said['health']
    expect(wrong({}, { health: lost })).toContain('thumbnail: deferred')
    expect(wrong({}, { openMetrics: `${text.join('')}${exemplar.replace('t1', 't2')}` })).toEqual([
      'all: exemplars of unknown traces',
    ])
    expect(wrong({}, { uploadsLeft: 1 })).toEqual(['all: uploads left on disk'])
    expect(wrong({ surprises: ['?'] }, {})).toEqual(['all: answers that were not as they must be'])
    expect(wrong({ goodResults: 1 }, {})).toEqual(['all: results that are the image promised'])
  })

  it('does not take what is no metrics for metrics', () => {
    expect(() => verify(seen, { ...said(), plain: '<html>' })).toThrow('Not a line of metrics')
  })
})
