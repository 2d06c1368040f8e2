import type { ImageTask } from './image-task.ts'

/** A thumbnail that fits into 320 × 320. Somebody looks at the page that shows it, so it goes first. */
export const thumbnail: ImageTask = {
  name: 'thumbnail',
  type: 'image/webp',
  options: { priority: 'high', timeout: 10_000 },
  render: (image) => image.resize(320, 320, { fit: 'inside', withoutEnlargement: true }).webp({ quality: 80 }),
}
