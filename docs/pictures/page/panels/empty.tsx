import { css } from '@emotion/css'
import type { GrafanaTheme2 } from '@grafana/data'
import { useStyles2 } from '@grafana/ui'

/** What Grafana writes into a panel that has nothing to draw. */
export function Empty({ text }: { readonly text: string | undefined }) {
  const styles = useStyles2(getStyles)
  return (
    <div className={styles.wrapper}>
      <div className={styles.message}>{text ?? 'No data'}</div>
    </div>
  )
}

const getStyles = (theme: GrafanaTheme2) => ({
  wrapper: css({ display: 'flex', alignItems: 'center', height: '100%', width: '100%' }),
  message: css({
    width: '100%',
    textAlign: 'center',
    color: theme.colors.text.secondary,
    fontSize: theme.typography.size.lg,
  }),
})
