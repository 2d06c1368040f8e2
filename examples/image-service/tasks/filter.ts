import type { ImageTask } from './image-task.ts'

/** A filter over the whole picture: its cost grows with the pixels, so two at a time are enough. */
export const filter: ImageTask = {
  name: 'filter',
  type: 'image/jpeg',
  options: { priority: 'medium', concurrency: 2, timeout: 20_000 },
  render(image, name) {
    switch (name) {
      case 'grayscale':
        return image.grayscale().toColourspace('b-w').jpeg({ quality: 85 })
      case 'blur':
        return image.blur(6).jpeg({ quality: 85 })
      case 'sharpen':
        return image.sharpen({ sigma: 1.5 }).jpeg({ quality: 85 })
    }
  },
}
