/** The chart: candles and volume, the running candle, room for the future, and the layers over them. */

import {
  CandlestickSeries,
  ColorType,
  createChart,
  CrosshairMode,
  HistogramSeries,
  LineSeries,
  TickMarkType,
  type CandlestickData,
  type HistogramData,
  type IChartApi,
  type ISeriesApi,
  type Time,
  type UTCTimestamp,
} from "lightweight-charts";
import type { Book, Change } from "../book";
import { fixed, instant, type Zone } from "../format";
import type { Bar } from "../wire";
import { Indicators } from "./indicators";
import { Overlay } from "./overlay";
import { faint, readPalette, type Palette } from "./palette";

const second = (at: number): UTCTimestamp => (at / 1000) as UTCTimestamp;
const FUTURE = 12;
const CROWDED = 0.5;

export interface ChartEvents {
  moved: () => void;
  hover: (index: number | null) => void;
}

export class ChartView {
  readonly overlay: Overlay;
  readonly indicators: Indicators;
  private readonly chart: IChartApi;
  private readonly candles: ISeriesApi<"Candlestick">;
  private readonly volume: ISeriesApi<"Histogram">;
  private readonly future: ISeriesApi<"Line">;
  private palette: Palette;
  private zone: Zone = "utc";
  private futureEnd = -Infinity;
  private drawnTo = -Infinity;
  private crowded = false;
  private drawnAt = -Infinity;

  constructor(
    host: HTMLElement,
    private readonly book: Book,
    private readonly events: ChartEvents,
  ) {
    this.palette = readPalette();
    this.chart = createChart(host, { autoSize: true, ...options(this.palette) });
    this.volume = this.chart.addSeries(HistogramSeries, {
      priceScaleId: "volume",
      priceFormat: { type: "volume" },
      lastValueVisible: false,
      priceLineVisible: false,
    });
    this.chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.future = this.chart.addSeries(LineSeries, { lastValueVisible: false, priceLineVisible: false });
    this.candles = this.chart.addSeries(CandlestickSeries, candleOptions(this.palette));
    this.chart.priceScale("right").applyOptions({ scaleMargins: { top: 0.1, bottom: 0.2 } });
    this.indicators = new Indicators(this.chart, this.palette);
    this.overlay = new Overlay({
      bars: book.bars,
      step: 6e4,
      predictions: [],
      late: [],
      gaps: [],
      anomalies: [],
      regimes: [],
      odd: [],
      simulated: false,
      palette: this.palette,
      showPredictions: true,
      priceText: (price) => fixed(price, 1),
    });
    this.candles.attachPrimitive(this.overlay);
    this.listen();
    this.setZone("utc");
  }

  /** Draw what changed of the book. */
  draw(change: Change, step: number): void {
    const fresh = change === "tail" ? this.book.bars.slice(this.book.changed) : [];
    if (change === "all" || (fresh[0] && fresh[0].open_ms < this.drawnTo)) this.redraw();
    else for (const bar of fresh) this.put(bar);
    if (this.book.running) this.put(this.book.running);
    this.reach(step);
    this.overlay.set({ bars: this.book.bars, step });
  }

  /** Draw the running candle; where very many candles are held that is costly, and done less often. */
  drawRunning(): void {
    const pause = this.crowded ? 5000 : this.book.bars.length / 100;
    const now = performance.now();
    if (now - this.drawnAt < pause) return;
    this.drawnAt = now;
    this.put(this.book.running ?? undefined);
  }

  /** Show the newest candles, as many as fit at a width that is easy to read. */
  home(): void {
    const width = this.chart.timeScale().width();
    this.chart.timeScale().applyOptions({ barSpacing: width < 500 ? 5 : 8 });
    this.chart.timeScale().scrollToPosition(width < 500 ? 5 : FUTURE, false);
    this.chart.priceScale("right").applyOptions({ autoScale: true });
  }

  /** Move by a share of what is seen, to the past where negative. */
  pan(share: number): void {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    const by = (range.to - range.from) * share;
    this.chart.timeScale().setVisibleLogicalRange({ from: range.from + by, to: range.to + by });
  }

  zoom(factor: number): void {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    if (!range) return;
    this.chart.timeScale().setVisibleLogicalRange({ from: range.to - (range.to - range.from) * factor, to: range.to });
  }

  /** Whether less than what is seen is left before the first candle. */
  nearStart(): boolean {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    return range !== null && this.book.bars.length > 0 && range.from < range.to - range.from;
  }

  /** Whether the newest candle is in sight. */
  showsNewest(): boolean {
    const range = this.chart.timeScale().getVisibleLogicalRange();
    return range === null || range.to >= this.book.bars.length - 1;
  }

  /** The instants at the edges of what is seen, ms. */
  visible(): { from: number; to: number } | null {
    const range = this.chart.timeScale().getVisibleRange();
    return range && { from: Number(range.from) * 1000, to: Number(range.to) * 1000 };
  }

  picture(): HTMLCanvasElement {
    return this.chart.takeScreenshot(true, false);
  }

  setDecimals(decimals: number): void {
    const priceFormat = {
      type: "custom" as const,
      formatter: (price: number): string => fixed(price, decimals),
      minMove: 10 ** -decimals,
    };
    this.candles.applyOptions({ priceFormat });
    this.future.applyOptions({ priceFormat });
    this.overlay.set({ priceText: (price) => fixed(price, decimals) });
  }

  setZone(zone: Zone): void {
    this.zone = zone;
    this.chart.applyOptions({
      localization: { timeFormatter: (time: Time) => instant(Number(time) * 1000, "full", this.zone) },
      timeScale: { tickMarkFormatter: (time: Time, kind: TickMarkType) => this.tick(Number(time) * 1000, kind) },
    });
  }

  repaint(): void {
    this.palette = readPalette();
    this.chart.applyOptions(options(this.palette));
    this.candles.applyOptions(candleOptions(this.palette));
    this.indicators.repaint(this.palette);
    this.overlay.set({ palette: this.palette });
    this.volume.setData(this.book.bars.map((bar) => this.bucket(bar)));
    this.drawRunning();
  }

  /** Many candles a pixel are drawn as one; the library then works through all of them with each update. */
  private thin(): void {
    const crowded = this.chart.timeScale().options().barSpacing < CROWDED;
    if (crowded === this.crowded) return;
    this.crowded = crowded;
    this.chart.applyOptions({ timeScale: { enableConflation: crowded } });
  }

  private listen(): void {
    this.chart.timeScale().subscribeVisibleLogicalRangeChange(() => {
      this.thin();
      this.events.moved();
    });
    this.chart.subscribeCrosshairMove((move) => {
      this.events.hover(move.logical === undefined || !move.point ? null : Math.round(move.logical));
    });
  }

  /** Candles of the future that hold no numbers, so that targets have a place to stand. */
  private reach(step: number): void {
    const newest = this.book.running ?? this.book.last;
    if (!newest || !Number.isFinite(step)) return;
    const end = newest.open_ms + FUTURE * step;
    for (let at = Math.max(newest.open_ms, this.futureEnd) + step; at <= end; at += step) {
      this.future.update({ time: second(at) });
      this.futureEnd = at;
    }
  }

  private redraw(): void {
    this.candles.setData(this.book.bars.map((bar) => this.candle(bar)));
    this.volume.setData(this.book.bars.map((bar) => this.bucket(bar)));
    this.drawnTo = this.book.last?.open_ms ?? -Infinity;
    this.future.setData([]);
    this.futureEnd = -Infinity;
  }

  /** Draw a bar at the end; the library refuses one before that, as a process that began anew may tell it. */
  private put(bar: Bar | undefined): void {
    if (!bar) return;
    if (bar.open_ms < this.drawnTo) this.redraw();
    this.drawnTo = bar.open_ms;
    this.candles.update(this.candle(bar));
    this.volume.update(this.bucket(bar));
  }

  private candle({ open_ms, open, high, low, close, closed }: Bar): CandlestickData {
    const bar = { time: second(open_ms), open, high, low, close };
    if (closed) return bar;
    return { ...bar, color: faint(close >= open ? this.palette.up : this.palette.down, 0.35) };
  }

  private bucket({ open_ms, volume, open, close }: Bar): HistogramData {
    const color = faint(close >= open ? this.palette.up : this.palette.down, 0.3);
    return { time: second(open_ms), value: volume, color };
  }

  private tick(at: number, kind: TickMarkType): string {
    if (kind === TickMarkType.Year) return instant(at, "year", this.zone);
    if (kind === TickMarkType.Month) return instant(at, "month", this.zone);
    const midnight = instant(at, "minute", this.zone) === "00:00";
    if (kind === TickMarkType.DayOfMonth && midnight) return instant(at, "day", this.zone);
    return instant(at, kind === TickMarkType.TimeWithSeconds ? "time" : "minute", this.zone);
  }
}

function options(palette: Palette): Parameters<IChartApi["applyOptions"]>[0] {
  return {
    layout: {
      background: { type: ColorType.Solid, color: palette.panel },
      textColor: palette["ink-2"],
      fontFamily: palette.font,
      fontSize: 11,
      attributionLogo: false,
      panes: { separatorColor: palette.line, separatorHoverColor: palette.grid, enableResize: true },
    },
    grid: { vertLines: { color: palette.grid }, horzLines: { color: palette.grid } },
    crosshair: {
      mode: CrosshairMode.Normal,
      vertLine: { color: palette["ink-3"], labelBackgroundColor: palette["ink-3"] },
      horzLine: { color: palette["ink-3"], labelBackgroundColor: palette["ink-3"] },
    },
    rightPriceScale: { borderVisible: false },
    timeScale: {
      borderVisible: false,
      timeVisible: true,
      secondsVisible: false,
      rightOffset: FUTURE,
      barSpacing: 8,
      minBarSpacing: 0.002,
      enableConflation: false,
      allowShiftVisibleRangeOnWhitespaceReplacement: true,
    },
  };
}

function candleOptions(palette: Palette): object {
  return {
    upColor: palette.up,
    downColor: palette.down,
    borderUpColor: palette.up,
    borderDownColor: palette.down,
    wickUpColor: palette.up,
    wickDownColor: palette.down,
    priceLineColor: palette["ink-3"],
    priceLineWidth: 1,
  };
}
