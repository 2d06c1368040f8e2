/**
 * One colour for one word, in every panel. The hues are those of Okabe and Ito, which people with any of the common kinds of
 * colour blindness tell apart (https://jfly.uni-koeln.de/color/); a test measures that they stay apart.
 */
export const OUTCOME_COLOURS = {
  completed: '#009E73',
  failed: '#D55E00',
  cancelled: '#999999',
  dropped: '#CC79A7',
  handed_off: '#56B4E9',
} as const

export const RESULT_COLOURS = {
  ok: OUTCOME_COLOURS.completed,
  error: OUTCOME_COLOURS.failed,
  timeout: '#E69F00',
  cancelled: OUTCOME_COLOURS.cancelled,
} as const

export const STATE_COLOURS = {
  held: '#56B4E9',
  delayed: '#999999',
  ready: '#E69F00',
  running: '#0072B2',
  retrying: '#CC79A7',
} as const

export const ENGINE_STATE_COLOURS = {
  waiting: STATE_COLOURS.ready,
  delayed: STATE_COLOURS.delayed,
  active: STATE_COLOURS.running,
  failed: OUTCOME_COLOURS.failed,
} as const

export const PRIORITY_COLOURS = { high: '#D55E00', medium: '#E69F00', low: '#56B4E9' } as const

/** For the same figure a week ago. */
export const FAINT = '#7F7F7F'

/** The steps of a threshold. Grafana's own red and green are not told apart by everyone; these are. */
export const GOOD = '#009E73'
export const WARNING = '#E69F00'
export const BAD_COLOUR = '#D55E00'
/** For the background of a cell: white text stands on it at 4.5 : 1 and more (WCAG 2.2, 1.4.3). */
export const CELL_COLOURS: Readonly<Record<string, string>> = { [WARNING]: '#946400', [BAD_COLOUR]: '#B84F00' }
export const NEUTRAL = '#56B4E9'

/** Quantiles and other figures that have no word of their own, light to dark. */
export const LINES = ['#56B4E9', '#E69F00', '#CC79A7', '#009E73', '#F0E442', '#0072B2', '#D55E00'] as const
