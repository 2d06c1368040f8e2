/** Afterspan in an Express app: the middleware and the health endpoint. Express 5 and Express 4. */
export { type HealthOptions, type HealthReport, health } from './health.ts'
export { type DeferringRequest, middleware, type RequestDefer } from './middleware.ts'
