import { css } from '@emotion/css'
import { EventBusSrv, type GrafanaTheme2 } from '@grafana/data'
import {
  ErrorBoundaryAlert,
  Icon,
  PanelChrome,
  PanelContextProvider,
  RefreshPicker,
  TimeRangePicker,
  ToolbarButton,
  useStyles2,
} from '@grafana/ui'
import { fieldConfig } from './fields.ts'
import { columnWidth, GRID, type Loaded } from './load.ts'
import type { Order, Panel } from './model.ts'
import { Empty } from './panels/empty.tsx'
import { PANELS } from './panels/index.tsx'
import type { Chosen } from './variables.ts'

interface DashboardProps {
  readonly order: Order
  readonly loaded: Loaded
}

export function DashboardPage({ order, loaded }: DashboardProps) {
  const styles = useStyles2(getStyles)
  const { panels } = order.dashboard
  const rows = Math.max(0, ...panels.map(({ gridPos }) => gridPos.y + gridPos.h))
  return (
    <main className={styles.page} style={{ width: order.width }}>
      <Header order={order} loaded={loaded} />
      <div className={styles.grid} style={{ height: rows * (GRID.row + GRID.gap) }}>
        {panels.map((panel) => (
          <Placed
            key={panel.id ?? `${panel.gridPos.x},${panel.gridPos.y}`}
            panel={panel}
            order={order}
            loaded={loaded}
          />
        ))}
      </div>
    </main>
  )
}

function nothing(): void {}

function Header({ order, loaded }: DashboardProps) {
  const styles = useStyles2(getStyles)
  const { dashboard } = order
  const inMenu = [...(dashboard.annotations?.list ?? []), ...(dashboard.links ?? [])]
  return (
    <header>
      <nav className={styles.crumbs}>
        <span className={styles.faint}>Home</span>
        <Icon name="angle-right" className={styles.faint} />
        <span className={styles.faint}>Dashboards</span>
        <Icon name="angle-right" className={styles.faint} />
        <h1 className={styles.title}>{dashboard.title}</h1>
      </nav>
      <div className={styles.controls}>
        <div className={styles.variables}>
          {loaded.variables.chosen
            .filter(({ variable }) => variable.hide !== 2)
            .map((chosen) => (
              <Picker key={chosen.variable.name} chosen={chosen} />
            ))}
        </div>
        {inMenu.some(({ placement }) => placement === 'inControlsMenu') && (
          <ToolbarButton icon="sliders-v-alt" variant="canvas" tooltip="Controls" />
        )}
        <TimeRangePicker
          value={loaded.timeRange}
          timeZone="browser"
          isOnCanvas
          onChange={nothing}
          onChangeTimeZone={nothing}
          onMoveBackward={nothing}
          onMoveForward={nothing}
          onZoom={nothing}
        />
        <RefreshPicker
          isOnCanvas
          value={dashboard.refresh}
          onRefresh={nothing}
          onIntervalChanged={nothing}
          text="Refresh"
        />
      </div>
    </header>
  )
}

function Picker({ chosen: { variable, values, all } }: { readonly chosen: Chosen }) {
  const styles = useStyles2(getStyles)
  return (
    <div className={styles.picker}>
      {variable.hide !== 1 && <span className={styles.label}>{variable.label ?? variable.name}</span>}
      <span className={styles.value}>
        {all || !variable.multi ? (
          <span>{all ? 'All' : (values[0] ?? '')}</span>
        ) : (
          values.map((value) => (
            <span key={value} className={styles.pill}>
              {value} <Icon name="times" size="sm" />
            </span>
          ))
        )}
        <Icon name="angle-down" />
      </span>
    </div>
  )
}

function Placed({ panel, order, loaded }: DashboardProps & { readonly panel: Panel }) {
  const styles = useStyles2(getStyles)
  const { x, y, w, h } = panel.gridPos
  const width = w * columnWidth(order.width) - GRID.gap
  const height = h * (GRID.row + GRID.gap) - GRID.gap
  const style = { left: x * columnWidth(order.width), top: y * (GRID.row + GRID.gap), width, height }
  return (
    <div className={styles.placed} style={style}>
      {panel.type === 'row' ? <Row panel={panel} loaded={loaded} /> : <Framed {...{ panel, loaded, width, height }} />}
    </div>
  )
}

function Row({ panel, loaded }: { readonly panel: Panel; readonly loaded: Loaded }) {
  const styles = useStyles2(getStyles)
  const inside = panel.panels?.length ?? 0
  return (
    <div className={`${styles.row} ${panel.collapsed ? styles.collapsed : ''}`}>
      <Icon name={panel.collapsed ? 'angle-right' : 'angle-down'} />
      <span>{loaded.variables.text(panel.title ?? '')}</span>
      {panel.collapsed && (
        <span className={styles.faint}>
          ({inside} {inside === 1 ? 'panel' : 'panels'})
        </span>
      )}
    </div>
  )
}

interface FramedProps {
  readonly panel: Panel
  readonly loaded: Loaded
  readonly width: number
  readonly height: number
}

function Framed({ panel, loaded, width, height }: FramedProps) {
  const data = loaded.panels.get(panel)
  const Body = PANELS[panel.type]
  const replaceVariables = (text: string) => loaded.variables.text(text)
  const context = { eventsScope: String(panel.id), eventBus: new EventBusSrv() }
  const error = data instanceof Error ? data : undefined
  return (
    <PanelContextProvider value={context}>
      <PanelChrome
        title={replaceVariables(panel.title ?? '')}
        description={panel.description}
        displayMode={panel.transparent ? 'transparent' : 'default'}
        hoverHeader={!panel.title}
        statusMessage={error?.message}
        width={width}
        height={height}
      >
        {(innerWidth, innerHeight) => {
          if (Body === undefined) return <Empty text={`Panels of type ${panel.type} are not drawn here`} />
          if (data === undefined || data instanceof Error) return <Empty text={panel.fieldConfig?.defaults.noValue} />
          return (
            <ErrorBoundaryAlert>
              <Body
                panel={panel}
                data={data}
                annotations={loaded.annotations}
                timeRange={loaded.timeRange}
                options={panel.options ?? {}}
                fieldConfig={fieldConfig(panel)}
                replaceVariables={replaceVariables}
                width={innerWidth}
                height={innerHeight}
              />
            </ErrorBoundaryAlert>
          )
        }}
      </PanelChrome>
    </PanelContextProvider>
  )
}

const getStyles = (theme: GrafanaTheme2) => ({
  page: css({ background: theme.colors.background.canvas, paddingBottom: theme.spacing(1) }),
  crumbs: css({
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(0.5),
    height: 40,
    padding: theme.spacing(0, 2),
    background: theme.colors.background.primary,
    borderBottom: `1px solid ${theme.colors.border.weak}`,
  }),
  title: css({ margin: 0, fontSize: theme.typography.body.fontSize, fontWeight: theme.typography.fontWeightMedium }),
  faint: css({ color: theme.colors.text.secondary }),
  controls: css({
    display: 'flex',
    alignItems: 'start',
    gap: theme.spacing(1),
    padding: theme.spacing(2, 2, 1),
  }),
  variables: css({ display: 'flex', flexWrap: 'wrap', flexGrow: 1, gap: theme.spacing(1) }),
  picker: css({ display: 'flex', height: 32 }),
  label: css({
    display: 'flex',
    alignItems: 'center',
    padding: theme.spacing(0, 1),
    fontSize: theme.typography.bodySmall.fontSize,
    fontWeight: theme.typography.fontWeightMedium,
    background: theme.components.input.background,
    border: `1px solid ${theme.components.input.borderColor}`,
    borderRight: 'none',
    borderRadius: `${theme.shape.radius.default} 0 0 ${theme.shape.radius.default}`,
  }),
  value: css({
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(0.5),
    minWidth: 80,
    justifyContent: 'space-between',
    padding: theme.spacing(0, 1),
    background: theme.components.input.background,
    border: `1px solid ${theme.components.input.borderColor}`,
    borderRadius: `0 ${theme.shape.radius.default} ${theme.shape.radius.default} 0`,
  }),
  pill: css({
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(0.5),
    padding: theme.spacing(0, 0.5),
    fontSize: theme.typography.bodySmall.fontSize,
    background: theme.colors.background.secondary,
    borderRadius: theme.shape.radius.default,
  }),
  grid: css({ position: 'relative', margin: `${theme.spacing(1)} ${GRID.side}px 0` }),
  placed: css({ position: 'absolute' }),
  row: css({
    display: 'flex',
    alignItems: 'center',
    gap: theme.spacing(1),
    height: '100%',
    fontSize: theme.typography.h5.fontSize,
    fontWeight: theme.typography.fontWeightMedium,
  }),
  collapsed: css({ borderBottom: `1px solid ${theme.colors.border.weak}` }),
})
