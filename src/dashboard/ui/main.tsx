import { render } from 'preact'
import { App } from './app.tsx'
import { applyTheme } from './parts/preferences.ts'
import './styles/base.css'
import './styles/parts.css'
import './now/now.css'
import './task/task.css'
import './trace/traces.css'
import './parts/picked.css'

applyTheme()
const root = document.getElementById('app')!
root.textContent = ''
render(<App />, root)
