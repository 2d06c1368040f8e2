import type { ImageTask } from './image-task.ts'

/**
 * The picture at web size as AVIF: about half the bytes of a JPEG, for a hundred times the work of a thumbnail. Nobody waits
 * for it, so it goes last, and never takes more than one slot from the others.
 */
export const encodeAvif: ImageTask = {
  name: 'encode-avif',
  type: 'image/avif',
  options: { priority: 'low', concurrency: 1, timeout: 60_000 },
  render: (image) =>
    image.resize(1280, 1280, { fit: 'inside', withoutEnlargement: true }).avif({ quality: 50, effort: 2 }),
}
