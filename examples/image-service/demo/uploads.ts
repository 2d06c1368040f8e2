import { KINDS, type Kind } from '../kinds.ts'
import { FILTERS } from '../tasks/image-task.ts'
import { bomb, cutOff, makePictures, type Picture } from './pictures.ts'
import { pick, type Random } from './random.ts'

/** One upload, and the answer that it must get. */
export interface Upload {
  readonly kind: string
  readonly filter?: string
  readonly picture?: Picture
  readonly expect: { readonly status: number; readonly code?: string }
}

/** Of a hundred uploads: this many are broken, and this many must be rejected. */
const BROKEN = 8
const REJECTED = 8
/** How the kinds share the rest. */
const SHARES: readonly [Kind, number][] = [
  ['thumbnail', 0.6],
  ['filter', 0.28],
  ['other', 0.12],
]
const ACCEPTED = { status: 202 }

/** Makes the uploads of a run: first one of each sort, so that a short run has them all, then at random. */
export async function uploads(random: Random, maxBytes: number, maxPixels: number): Promise<() => Upload> {
  const pictures = await makePictures(random)
  const broken = pictures.filter(({ type }) => type !== 'image/webp').map(cutOff)
  const rejected = await rejectedUploads(pictures[0]!, maxBytes, maxPixels)
  const opening: Upload[] = [
    ...Object.keys(KINDS).map((kind) => ({ kind, picture: pictures[0]!, expect: ACCEPTED })),
    { kind: 'thumbnail', picture: broken[0]!, expect: ACCEPTED },
    ...rejected,
  ]
  return () => {
    const first = opening.shift()
    if (first !== undefined) return first
    const dice = random() * 100
    if (dice < REJECTED) return pick(random, rejected)
    return {
      kind: kindBy(random()),
      filter: pick(random, FILTERS),
      picture: pick(random, dice < REJECTED + BROKEN ? broken : pictures),
      expect: ACCEPTED,
    }
  }
}

function kindBy(dice: number): Kind {
  let left = dice
  for (const [kind, share] of SHARES) {
    left -= share
    if (left < 0) return kind
  }
  return 'thumbnail'
}

async function rejectedUploads(good: Picture, maxBytes: number, maxPixels: number): Promise<Upload[]> {
  const text = {
    name: 'holiday.jpg',
    type: 'image/jpeg',
    data: Buffer.from('This is not a picture, whatever it is called.'),
  }
  const large = { name: 'large.jpg', type: 'image/jpeg', data: Buffer.concat([good.data, Buffer.alloc(maxBytes)]) }
  const huge = await bomb(Math.ceil(Math.sqrt(maxPixels)) + 1)
  return [
    { kind: 'thumbnail', picture: text, expect: { status: 415, code: 'not_an_image' } },
    { kind: 'filter', picture: large, expect: { status: 413, code: 'too_large' } },
    { kind: 'other', picture: huge, expect: { status: 413, code: 'too_many_pixels' } },
    { kind: 'poster', picture: good, expect: { status: 400, code: 'unknown_kind' } },
    { kind: 'filter', filter: 'sepia', picture: good, expect: { status: 400, code: 'unknown_filter' } },
    { kind: 'thumbnail', expect: { status: 400, code: 'missing_file' } },
  ]
}
