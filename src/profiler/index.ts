/** What tasks do with the CPU and the event loop, by samples of their stacks. */
export type { CpuProfile, CpuProfileNode } from './cpuprofile.ts'
export type { SlowProfile } from './kept.ts'
export type { Profile } from './profile.ts'
export type { Meanwhile, ProfileFigures, ProfileRow } from './profile-source.ts'
export { type CaptureOptions, type RunningProfiler, startProfiler } from './profiler.ts'
export type { ProfilerOptions, SlowOptions } from './start.ts'
