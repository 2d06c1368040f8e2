import { useEffect, useState } from 'preact/hooks'
import type { Zone } from '../words/moments.ts'

export type Theme = 'system' | 'dark' | 'light'

export interface Preferences {
  readonly theme: Theme
  readonly zone: Zone
}

const KEY = 'afterspan'
const listeners = new Set<(preferences: Preferences) => void>()
let current = load()

function load(): Preferences {
  const standard: Preferences = { theme: 'system', zone: 'local' }
  try {
    const { theme, zone } = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Record<string, unknown>
    return {
      theme: theme === 'dark' || theme === 'light' ? theme : standard.theme,
      zone: zone === 'utc' ? zone : standard.zone,
    }
  } catch {
    // Storage may be forbidden: then a choice lasts as long as the page.
    return standard
  }
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = current.theme
}

export function prefer(change: Partial<Preferences>): void {
  current = { ...current, ...change }
  try {
    localStorage.setItem(KEY, JSON.stringify(current))
  } catch {}
  applyTheme()
  for (const listener of listeners) listener(current)
}

export function usePreferences(): Preferences {
  const [state, setState] = useState(current)
  useEffect(() => {
    setState(current)
    listeners.add(setState)
    return () => {
      listeners.delete(setState)
    }
  }, [])
  return state
}

/** Whether dark colours are shown, for what cannot take them from the style sheet. */
export function useDark(): boolean {
  const { theme } = usePreferences()
  const [system, setSystem] = useState(() => dark.matches)
  useEffect(() => {
    const listener = () => setSystem(dark.matches)
    dark.addEventListener('change', listener)
    return () => dark.removeEventListener('change', listener)
  }, [])
  return theme === 'system' ? system : theme === 'dark'
}

const dark = matchMedia('(prefers-color-scheme: dark)')
