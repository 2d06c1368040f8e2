import { css } from '@emotion/css'
import type { GrafanaTheme2 } from '@grafana/data'
import { Icon, Tag, useStyles2 } from '@grafana/ui'
import { useEffect, useState } from 'react'
import type { PanelProps } from '../model.ts'
import { type Alert, alerts } from '../prometheus.ts'
import { Empty } from './empty.tsx'

/** Grafana lists the alerts of its own alerting here; this lists Prometheus'. */
export function AlertsPanel({ fieldConfig }: PanelProps) {
  const styles = useStyles2(getStyles)
  const [list, setList] = useState<readonly Alert[]>([])
  useEffect(() => void alerts().then(setList), [])
  if (list.length === 0) return <Empty text={fieldConfig.defaults.noValue ?? 'No alerts matching filters'} />
  return (
    <ol className={styles.list}>
      {list.map(({ labels, state, activeAt }) => (
        <li key={JSON.stringify(labels)} className={styles.item}>
          <Icon name={state === 'firing' ? 'exclamation-circle' : 'clock-nine'} size="lg" className={styles[state]} />
          <div>
            <div>{labels.alertname}</div>
            <div className={styles.state}>
              <span className={styles[state]}>{state === 'firing' ? 'Firing' : 'Pending'}</span> since{' '}
              {activeAt.slice(11, 19)}
            </div>
          </div>
          {labels.task_name && <Tag name={labels.task_name} />}
        </li>
      ))}
    </ol>
  )
}

const getStyles = (theme: GrafanaTheme2) => ({
  list: css({ listStyle: 'none', height: '100%', overflow: 'hidden' }),
  item: css({
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(1),
    padding: theme.spacing(1),
    marginBottom: theme.spacing(0.5),
    background: theme.colors.background.secondary,
    borderRadius: theme.shape.radius.default,
  }),
  state: css({ fontSize: theme.typography.bodySmall.fontSize, color: theme.colors.text.secondary }),
  firing: css({ color: theme.colors.error.text }),
  pending: css({ color: theme.colors.warning.text }),
})
