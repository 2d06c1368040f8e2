/** The page inside the app: what fails, what is stuck, and the trace of one task, with nothing to install. Express 5 and Express 4. */
export { dashboard } from './dashboard.ts'
export type { DashboardOptions } from './options.ts'
