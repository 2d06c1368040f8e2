/** Calls `changed` when the tab is shown or hidden; the function that is returned ends that. */
export function onVisibility(changed: (visible: boolean) => void): () => void {
  const listener = () => changed(isVisible())
  document.addEventListener('visibilitychange', listener)
  return () => document.removeEventListener('visibilitychange', listener)
}

export function isVisible(): boolean {
  return document.visibilityState === 'visible'
}
