import { createTheme, ThemeContext } from '@grafana/data'
import { GlobalStyles, PortalContainer } from '@grafana/ui'
import type { ReactNode } from 'react'
import { createRoot } from 'react-dom/client'
import { DashboardPage } from './dashboard.tsx'
import { type Loaded, load } from './load.ts'
import type { Drawn, Order } from './model.ts'
import { registerTransformers } from './transform.ts'

/** How long components measure themselves and fetch icons after the first drawing, in ms. */
const SETTLE = 1500

const FONTS = ['400 12px Inter', '500 12px Inter', 'italic 400 12px Inter', '400 12px "Roboto Mono"']

window.__grafana_public_path__ = '/public/'

function frame(): Promise<unknown> {
  return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))
}

function summary({ panels }: Loaded): Drawn[] {
  const asking = [...panels].filter(([{ targets }]) => targets?.length)
  return asking.map(([{ title = '', type }, data]) => {
    if (data instanceof Error) return { title, type, rows: 0, error: data.message }
    return { title, type, rows: data.frames.reduce((sum, frame) => sum + frame.length, 0) }
  })
}

async function main(order: Order): Promise<void> {
  registerTransformers()
  const theme = createTheme({ colors: { mode: order.theme } })
  const loaded = await load(order, theme)
  const root = createRoot(document.getElementById('root')!)
  const draw = (page: ReactNode) =>
    root.render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        <PortalContainer />
        {page}
      </ThemeContext.Provider>,
    )
  // Canvases measure and draw text when they are made: the fonts, which the styles name, have to be there first.
  draw(null)
  await frame()
  await Promise.all(FONTS.map((font) => document.fonts.load(font)))
  draw(<DashboardPage order={order} loaded={loaded} />)
  await new Promise((resolve) => setTimeout(resolve, SETTLE))
  window.drawn = summary(loaded)
}

main(window.order).catch((error: Error) => {
  window.drawn = [{ title: 'the page', type: 'page', rows: 0, error: String(error.stack) }]
})
