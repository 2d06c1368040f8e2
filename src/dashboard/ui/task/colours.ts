/** A colour of the style sheet as a canvas takes it: the one that is shown now, dark or light. */
export function colour(name: string): string {
  const probe = document.createElement('span')
  probe.hidden = true
  probe.style.color = `var(${name})`
  document.body.append(probe)
  const { color } = getComputedStyle(probe)
  probe.remove()
  return color
}
