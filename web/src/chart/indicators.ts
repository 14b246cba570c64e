/** Indicators on the chart: any feature by its name, over the price or in a pane of its own. */

import { LineSeries, type IChartApi, type ISeriesApi, type UTCTimestamp } from "lightweight-charts";
import { short } from "../format";
import type { Bar, Features } from "../wire";
import type { Palette } from "./palette";

export interface Point {
  at: number;
  value: number;
}

/** The values of one feature by candle, in order; what is unknown is left out. */
export function pointsOf(rows: readonly Features[], name: string, length: number): Point[] {
  const points: Point[] = [];
  for (const row of rows) {
    const value = row.values[name];
    if (typeof value === "number") points.push({ at: row.asOf - length, value });
  }
  return points;
}

/** Join two ordered lists of points; the newer list wins where both have an instant. */
export function joined(known: readonly Point[], incoming: readonly Point[]): Point[] {
  const last = known.at(-1);
  if (!last || (incoming[0] && incoming[0].at > last.at)) return [...known, ...incoming];
  const byTime = new Map(known.map((point) => [point.at, point]));
  for (const point of incoming) byTime.set(point.at, point);
  return [...byTime.values()].sort((a, b) => a.at - b.at);
}

/** Whether values live on the price's own scale: then they are drawn over it. */
export function onPriceScale(points: readonly Point[], bars: readonly Bar[]): boolean {
  const close = bars.at(-1)?.close;
  const middle = points.map((point) => point.value).sort((a, b) => a - b)[points.length >> 1];
  return close !== undefined && middle !== undefined && Math.abs(middle / close - 1) < 0.2;
}

/** What features of one kind share a pane: the name up to its first number. */
export function familyOf(name: string): string {
  return /^[a-z_]*?(?=_?\d|$)/.exec(name)?.[0] ?? name;
}

interface Shown {
  series: ISeriesApi<"Line"> | null;
  family: string;
  over: boolean;
  colour: number;
  points: Point[];
}

export class Indicators {
  private readonly shown = new Map<string, Shown>();

  constructor(
    private readonly chart: IChartApi,
    private palette: Palette,
  ) {}

  get names(): string[] {
    return [...this.shown.keys()];
  }

  colourOf(name: string): string | null {
    const shown = this.shown.get(name);
    return shown ? (this.palette.series[shown.colour] ?? null) : null;
  }

  valueAt(name: string, at: number): number | null {
    return this.shown.get(name)?.points.findLast((point) => point.at === at)?.value ?? null;
  }

  lastOf(name: string): number | null {
    return this.shown.get(name)?.points.at(-1)?.value ?? null;
  }

  add(name: string): void {
    if (this.shown.has(name)) return;
    const taken = new Set([...this.shown.values()].map((one) => one.colour));
    const colour = this.palette.series.findIndex((_, index) => !taken.has(index));
    const place = colour < 0 ? this.shown.size % this.palette.series.length : colour;
    this.shown.set(name, { series: null, family: familyOf(name), over: true, colour: place, points: [] });
  }

  remove(name: string): void {
    const shown = this.shown.get(name);
    this.shown.delete(name);
    if (shown?.series) this.chart.removeSeries(shown.series);
  }

  clear(): void {
    for (const shown of this.shown.values()) {
      shown.points = [];
      shown.series?.setData([]);
    }
  }

  /** Add rows; one new row at the end costs one point. */
  feed(rows: readonly Features[], length: number, bars: readonly Bar[]): void {
    for (const [name, shown] of this.shown) {
      const incoming = pointsOf(rows, name, length);
      if (!incoming.length) continue;
      const before = shown.points.at(-1)?.at ?? Infinity;
      shown.points = joined(shown.points, incoming);
      shown.series ??= this.make(name, shown, bars);
      if (incoming.length === 1 && (incoming[0]?.at ?? 0) >= before) {
        const { at, value } = incoming[0] ?? { at: 0, value: 0 };
        shown.series.update({ time: (at / 1000) as UTCTimestamp, value });
      } else {
        shown.series.setData(shown.points.map(({ at, value }) => ({ time: (at / 1000) as UTCTimestamp, value })));
      }
    }
  }

  repaint(palette: Palette): void {
    this.palette = palette;
    for (const shown of this.shown.values()) {
      shown.series?.applyOptions({ color: palette.series[shown.colour] ?? palette.ink });
    }
  }

  private make(name: string, shown: Shown, bars: readonly Bar[]): ISeriesApi<"Line"> {
    shown.over = onPriceScale(shown.points, bars);
    const options = {
      color: this.palette.series[shown.colour] ?? this.palette.ink,
      lineWidth: 1 as const,
      priceLineVisible: false,
      lastValueVisible: false,
      crosshairMarkerVisible: false,
    };
    if (shown.over) return this.chart.addSeries(LineSeries, options);
    const pane = this.paneOf(shown.family);
    const format = { type: "custom" as const, formatter: short, minMove: 1e-8 };
    const series = this.chart.addSeries(LineSeries, { ...options, priceFormat: format, title: name }, pane);
    series.getPane().setStretchFactor(0.22);
    return series;
  }

  private paneOf(family: string): number {
    for (const shown of this.shown.values()) {
      if (!shown.over && shown.series && shown.family === family) return shown.series.getPane().paneIndex();
    }
    return this.chart.panes().length;
  }
}
