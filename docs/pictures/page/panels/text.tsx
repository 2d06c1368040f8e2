import { css } from '@emotion/css'
import { renderTextPanelMarkdown, textUtil } from '@grafana/data'
import type { PanelProps } from '../model.ts'

export function TextPanel({ options, replaceVariables }: PanelProps) {
  const content = replaceVariables(options.content ?? '')
  if (options.mode === 'code') return <pre>{content}</pre>
  const html = options.mode === 'html' ? textUtil.sanitizeTextPanelContent(content) : renderTextPanelMarkdown(content)
  // biome-ignore lint/security/noDangerouslySetInnerHtml: sanitized by Grafana's own function, one line above
  return <div className={`markdown-html ${css({ height: '100%' })}`} dangerouslySetInnerHTML={{ __html: html }} />
}
