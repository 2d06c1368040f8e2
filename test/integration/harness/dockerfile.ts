import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join, posix, relative, resolve } from 'node:path'

/** What a Dockerfile of one stage says, for tests that take its steps without Docker. */
export interface Dockerfile {
  readonly from: string
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
  readonly ports: readonly number[]
  readonly user: string | undefined
  /** In their order. */
  readonly steps: readonly Step[]
  readonly healthcheck: readonly string[] | undefined
  readonly command: readonly string[]
}

export type Step =
  | { readonly kind: 'copy'; readonly sources: readonly string[]; readonly target: string }
  | { readonly kind: 'run'; readonly command: string }

/** Reads the instructions that are known here; any other is an error, so that none is passed over. */
export function readDockerfile(path: string): Dockerfile {
  let from: string | undefined
  let workdir = '/'
  let user: string | undefined
  let healthcheck: string[] | undefined
  let command: string[] | undefined
  const env: Record<string, string> = {}
  const ports: number[] = []
  const steps: Step[] = []
  for (const line of instructions(readFileSync(path, 'utf8'))) {
    const [, name, rest] = /^(\w+)\s+(.*)$/s.exec(line) as unknown as [string, string, string]
    // Flags such as --mount of RUN change how an image is made, not what is in it.
    const { flags, words } = split(rest)
    const fail = () => new Error(`${path}: a test cannot follow "${line}".`)
    if (name === 'FROM' && from === undefined && flags.length === 0 && words.length === 1) from = rest
    else if (name === 'WORKDIR') workdir = posix.resolve(workdir, rest)
    else if (name === 'USER') user = rest
    else if (name === 'EXPOSE') ports.push(...words.map(Number))
    else if (name === 'RUN') steps.push({ kind: 'run', command: words.join(' ') })
    else if (name === 'COPY' && !flags.some((flag) => flag.startsWith('--from'))) {
      const target = words.at(-1) as string
      steps.push({ kind: 'copy', sources: words.slice(0, -1), target: posix.resolve(workdir, target) })
    } else if (name === 'ENV') {
      for (const [key, value] of words.map((word) => word.split('=', 2))) {
        if (key === undefined || value === undefined) throw fail()
        env[key] = value
      }
    } else if (name === 'HEALTHCHECK' && words[0] === 'CMD') healthcheck = JSON.parse(words.slice(1).join(' '))
    else if (name === 'CMD') command = JSON.parse(rest)
    else throw fail()
  }
  if (from === undefined || command === undefined) throw new Error(`${path} has no FROM or no CMD.`)
  return { from, workdir, env, ports, user, steps, healthcheck, command }
}

function instructions(text: string): string[] {
  const lines = text.split('\n').filter((line) => !/^\s*#/.test(line))
  return lines
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
}

function split(rest: string): { flags: string[]; words: string[] } {
  const words = rest.trim().split(/\s+/)
  const first = words.findIndex((word) => !word.startsWith('--'))
  return { flags: words.slice(0, first), words: words.slice(first) }
}

/** Takes the steps of the Dockerfile below `root`, as if that were the image's `/`. */
export function takeSteps(dockerfile: Dockerfile, context: string, root: string, env: NodeJS.ProcessEnv): void {
  const ignored = readIgnored(context)
  const cwd = join(root, dockerfile.workdir)
  mkdirSync(cwd, { recursive: true })
  for (const step of dockerfile.steps) {
    if (step.kind === 'run') {
      execFileSync('sh', ['-c', step.command], { cwd, env, encoding: 'utf8', stdio: 'pipe', timeout: 300_000 })
    } else copy(step.sources, step.target)
  }

  function copy(sources: readonly string[], target: string): void {
    for (const source of sources) {
      const from = resolve(context, source)
      if (!existsSync(from) || ignored(source)) throw new Error(`COPY ${source}: not in the context of the build.`)
      // The contents of a directory, or a file under its name where the target is a directory.
      const isDirectory = statSync(from).isDirectory()
      const into = join(root, target)
      const to = isDirectory || !(sources.length > 1 || existsSync(into)) ? into : join(into, basename(source))
      cpSync(from, to, { recursive: true, filter: (path) => path === from || !ignored(relative(context, path)) })
    }
  }
}

/** `.dockerignore`: the last pattern that matches a path, or a directory that it is in, decides. */
function readIgnored(context: string): (path: string) => boolean {
  const patterns = readFileSync(join(context, '.dockerignore'), 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ keep: line.startsWith('!'), matches: matcher(line.replace(/^!/, '')) }))
  return (path) => {
    const parts = posix.normalize(path).split('/')
    const prefixes = parts.map((_, i) => parts.slice(0, i + 1).join('/'))
    return patterns.findLast(({ matches }) => prefixes.some(matches))?.keep === false
  }
}

function matcher(pattern: string): (path: string) => boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('**/', '(.+/)?')
    .replaceAll(/\*/g, '[^/]*')
  const expression = new RegExp(`^${source}$`)
  return (path) => expression.test(path)
}
