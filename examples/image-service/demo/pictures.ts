import { crc32 } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import type { Random } from './random.ts'

export interface Picture {
  readonly name: string
  readonly type: string
  readonly data: Buffer
}

/** Longer and shorter side, format, and grain: 0 is a smooth gradient, 60 is almost noise. */
const SHAPES: readonly [width: number, height: number, format: 'jpeg' | 'png' | 'webp', grain: number][] = [
  [640, 480, 'jpeg', 10],
  [800, 600, 'png', 0],
  [1024, 768, 'webp', 15],
  [1200, 1600, 'jpeg', 20],
  [1280, 720, 'jpeg', 60],
  [1600, 1200, 'jpeg', 5],
  [1920, 1080, 'webp', 0],
  [2400, 1600, 'jpeg', 15],
  [480, 480, 'png', 40],
  [3000, 2000, 'jpeg', 0],
]

/** Real images of different sizes, formats and contents. */
export function makePictures(random: Random): Promise<Picture[]> {
  return Promise.all(
    SHAPES.map(async ([width, height, format, grain]) => ({
      name: `${width}x${height}.${format}`,
      type: `image/${format}`,
      data: await paint(width, height, grain, random).toFormat(format, { quality: 85 }).toBuffer(),
    })),
  )
}

/** A few colours, blown up: it has soft edges and areas like a photograph, with grain on top. */
function paint(width: number, height: number, grain: number, random: Random): Sharp {
  const colours = { width: 6, height: 4, channels: 3 } as const
  const raw = Buffer.from(Array.from({ length: 6 * 4 * 3 }, () => Math.floor(random() * 256)))
  const image = sharp(raw, { raw: colours }).resize(width, height, { fit: 'fill', kernel: 'cubic' })
  if (grain === 0) return image
  const noise = { type: 'gaussian', mean: 128, sigma: grain } as const
  return image.composite([
    { input: { create: { width, height, channels: 3, background: '#808080', noise } }, blend: 'soft-light' },
  ])
}

/** An image whose data ends too early, as after a connection that broke. Of a JPEG or a PNG the header is still good. */
export function cutOff({ name, type, data }: Picture): Picture {
  return { name: `cut-${name}`, type, data: data.subarray(0, Math.floor(data.length * 0.6)) }
}

/** A file of a few bytes that says it is `side` × `side`: decoded, it would be gigabytes. */
export async function bomb(side: number): Promise<Picture> {
  const data = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#000' } })
    .png()
    .toBuffer()
  // The IHDR chunk: its type at 12, width at 16, height at 20, and its checksum at 29.
  data.writeUInt32BE(side, 16)
  data.writeUInt32BE(side, 20)
  data.writeUInt32BE(crc32(data.subarray(12, 29)), 29)
  return { name: 'bomb.png', type: 'image/png', data }
}
