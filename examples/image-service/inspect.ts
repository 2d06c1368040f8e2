import sharp from 'sharp'
import { HttpError } from './errors.ts'

// The formats that this service takes. Everything else that libvips could open, SVG and PDF among it, is code that an
// uploaded file should not reach.
sharp.block({ operation: ['VipsForeignLoad'] })
sharp.unblock({
  operation: [
    'VipsForeignLoadJpeg',
    'VipsForeignLoadPng',
    'VipsForeignLoadWebp',
    'VipsForeignLoadNsgif',
    'VipsForeignLoadTiff',
    'VipsForeignLoadHeif',
  ],
})
// A cache would keep the files of the last uploads open, and blur what the log says about memory.
sharp.cache(false)

/**
 * Looks at the content, whatever name and type the client gave. Only the header is read: a JPEG or PNG that is broken
 * further down passes, and fails in its task; in a WebP the header tells the length, so that a part of one is noticed here.
 *
 * @throws HttpError 415 when it is not an image, 413 when it has more pixels than allowed.
 */
export async function inspect(file: string, maxPixels: number): Promise<void> {
  const header = await sharp(file, { limitInputPixels: false })
    .metadata()
    .catch(() => {
      throw new HttpError(
        415,
        'not_an_image',
        'The file is not a JPEG, PNG, WebP, GIF, TIFF or AVIF image that can be read.',
      )
    })
  const pixels = header.width * header.height
  if (pixels > maxPixels) {
    throw new HttpError(
      413,
      'too_many_pixels',
      `The image has ${header.width} × ${header.height} pixels; ${maxPixels} in all are allowed.`,
    )
  }
}
