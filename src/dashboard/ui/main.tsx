import { render } from 'preact'
import { App } from './app.tsx'
import { applyTheme } from './parts/preferences.ts'
import './styles/base.css'
import './styles/parts.css'
import './styles/screens.css'

applyTheme()
const root = document.getElementById('app')!
root.textContent = ''
render(<App />, root)
