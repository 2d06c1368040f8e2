import { connect } from 'node:net'

/** How long a connection may take, in ms. */
const LIMIT = 500

/**
 * Why nothing listens at the address of a collector; undefined when something does, or when it is no URL. A refused
 * connection is known at once, where the exporter would retry for seconds.
 */
export function whyUnreachable(endpoint: string): Promise<Error | undefined> {
  if (!URL.canParse(endpoint)) return Promise.resolve(undefined)
  const { protocol, hostname, port } = new URL(endpoint)
  // An IPv6 address stands in brackets.
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve) => {
    const socket = connect({ host, port: Number(port) || (protocol === 'https:' ? 443 : 80) })
    const end = (error?: Error) => {
      socket.destroy()
      resolve(error)
    }
    socket.setTimeout(LIMIT, () => end(new Error(`no connection in ${LIMIT} ms`)))
    socket.once('connect', () => end())
    socket.once('error', end)
  })
}
