import { useEffect, useState } from 'preact/hooks'
import { parse, type Route } from './router.ts'

/** Where the page is. A link is a plain link: going there is what browsers do with `#`. */
export function useRoute(): Route {
  const [route, setRoute] = useState(() => parse(location.hash))
  useEffect(() => {
    const changed = () => setRoute(parse(location.hash))
    window.addEventListener('hashchange', changed)
    return () => window.removeEventListener('hashchange', changed)
  }, [])
  return route
}

/** Goes to a place without a step of its own in the history: a letter typed, a row looked at. */
export function replaceRoute(address: string): void {
  history.replaceState(null, '', address)
  window.dispatchEvent(new HashChangeEvent('hashchange'))
}
