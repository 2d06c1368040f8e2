export type { PgBossConnection, PgBossInstance, PgBossOptions } from './options.ts'
export { pgBoss } from './pg-boss.ts'
