#!/usr/bin/env node
/** The command `afterspan`. One file of it all is built by `npm run build`, so that it needs nothing but Node. */
import { readFileSync } from 'node:fs'
import { exportGrafana, GRAFANA_HELP } from './grafana.ts'
import { UsageError } from './usage.ts'

const HELP = `Usage: afterspan <command> [options]

Commands:
  grafana    write dashboards for Grafana and rules for Prometheus into a directory

  afterspan <command> --help    what a command can do
  afterspan --version           the version of Afterspan
`

const COMMANDS: Readonly<Record<string, { help: string; run(args: string[]): number }>> = {
  grafana: { help: GRAFANA_HELP, run: exportGrafana },
}

/** @returns the exit code: 0 done, 1 `--check` found differences, 2 wrong usage. */
function main([name, ...args]: string[]): number {
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(HELP)
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
    process.stdout.write(`${(JSON.parse(manifest) as { version: string }).version}\n`)
    return 0
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) {
    process.stderr.write(`afterspan: there is no command "${name}".\n\n${HELP}`)
    return 2
  }
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(command.help)
    return 0
  }
  try {
    return command.run(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`afterspan ${name}: ${error.message}\nafterspan ${name} --help lists the options.\n`)
    return 2
  }
}

process.exitCode = main(process.argv.slice(2))
