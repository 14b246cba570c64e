/** What stands over the candles: predictions and how they came out, incomplete candles, late trades, SIMULATED. */

import type { CanvasRenderingTarget2D } from "fancy-canvas";
import type {
  AutoscaleInfo,
  IChartApi,
  ISeriesApi,
  ISeriesPrimitive,
  ISeriesPrimitiveAxisView,
  IPrimitivePaneView,
  Logical,
  SeriesAttachedParameter,
} from "lightweight-charts";
import { lowerBound } from "../book";
import type { Bar } from "../wire";
import {
  drawAnomalies,
  drawGaps,
  drawIncomplete,
  drawLate,
  drawOdd,
  drawOpen,
  drawRegimes,
  drawScored,
  drawSimulated,
  openOnes,
  type Layers,
  type Scene,
} from "./scene";

/** The height of a label of the price axis. */
const LABEL = 18;

export class Overlay implements ISeriesPrimitive {
  private chart: IChartApi | null = null;
  private series: ISeriesApi<"Candlestick"> | null = null;
  private requestUpdate: (() => void) | null = null;
  private readonly views: readonly IPrimitivePaneView[] = [
    this.view("bottom", [drawIncomplete, drawGaps, drawAnomalies, drawRegimes, drawOdd, drawScored]),
    this.view("top", [drawOpen, drawLate, drawSimulated]),
  ];

  constructor(private layers: Layers) {}

  set(change: Partial<Layers>): void {
    this.layers = { ...this.layers, ...change };
    this.requestUpdate?.();
  }

  /** How many scored predictions have their target within a span. */
  scoredIn({ from, to }: { from: number; to: number }): number {
    return this.layers.predictions.filter((one) => one.outcome && one.target >= from && one.target <= to).length;
  }

  attached(to: SeriesAttachedParameter): void {
    this.chart = to.chart;
    this.series = to.series as ISeriesApi<"Candlestick">;
    this.requestUpdate = to.requestUpdate;
  }

  paneViews(): readonly IPrimitivePaneView[] {
    return this.views;
  }

  /** Keep what is predicted in sight. */
  autoscaleInfo(_from: Logical, to: Logical): AutoscaleInfo | null {
    const { bars, predictions, showPredictions } = this.layers;
    if (!showPredictions || to < bars.length - 1) return null;
    const open = predictions.filter((one) => !one.outcome && one.target >= (bars.at(-1)?.close_ms ?? 0));
    const prices = open.flatMap((one) => [one.priceLow ?? one.price, one.priceHigh ?? one.price]);
    if (!prices.length) return null;
    return { priceRange: { minValue: Math.min(...prices), maxValue: Math.max(...prices) } };
  }

  priceAxisViews(): readonly ISeriesPrimitiveAxisView[] {
    const next = openOnes(this.layers).at(-1);
    if (!next || !this.layers.showPredictions) return [];
    const { palette, priceText } = this.layers;
    return [
      {
        coordinate: () => this.beside(next.price),
        text: () => priceText(next.price),
        textColor: () => palette.panel,
        backColor: () => palette.pred,
      },
    ];
  }

  /** Where the label of a price stands: not over that of the newest price. */
  private beside(price: number): number {
    const at = this.series?.priceToCoordinate(price) ?? null;
    const shown = this.series?.lastValueData(true);
    const now = shown?.noData === false ? (this.series?.priceToCoordinate(shown.price) ?? null) : null;
    if (at === null) return -100;
    if (now === null || Math.abs(at - now) >= LABEL) return at;
    return at <= now ? now - LABEL : now + LABEL;
  }

  private view(zOrder: "bottom" | "top", draws: readonly ((scene: Scene) => void)[]): IPrimitivePaneView {
    const renderer = {
      draw: (target: CanvasRenderingTarget2D): void => {
        target.useMediaCoordinateSpace(({ context, mediaSize }) => {
          const scene = this.scene(context, mediaSize);
          if (scene) for (const draw of draws) isolated(scene, draw);
        });
      },
    };
    return { zOrder: () => zOrder, renderer: () => renderer };
  }

  private scene(context: CanvasRenderingContext2D, size: { width: number; height: number }): Scene | null {
    const { chart, series, layers } = this;
    if (!chart || !series) return null;
    const scale = chart.timeScale();
    const spacing = scale.options().barSpacing;
    const origin = scale.logicalToCoordinate(0 as Logical);
    const x = (at: number): number | null => {
      const place = placeOf(layers.bars, layers.step, at);
      return origin === null || place === null ? null : origin + place * spacing;
    };
    const y = (price: number | null): number | null => (price === null ? null : series.priceToCoordinate(price));
    return { ...layers, ...size, context, spacing, x, y };
  }
}

function isolated(scene: Scene, draw: (scene: Scene) => void): void {
  scene.context.save();
  draw(scene);
  scene.context.restore();
}

/** Where an instant stands, counted in candles from the first: a candle's middle is whole, its edges are halves. */
export function placeOf(bars: readonly Bar[], step: number, at: number): number | null {
  const last = bars.at(-1);
  if (!last || !bars[0] || at < bars[0].open_ms) return null;
  if (at >= last.open_ms) return bars.length - 1 + (at - last.open_ms) / step - 0.5;
  const after = lowerBound(bars, at);
  const bar = bars[after]?.open_ms === at ? bars[after] : bars[after - 1];
  const index = bars[after]?.open_ms === at ? after : after - 1;
  return bar ? index + Math.min(1, (at - bar.open_ms) / step) - 0.5 : null;
}
