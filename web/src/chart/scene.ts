/** How each layer over the candles is drawn; nothing here knows the chart. */

import type { Stretch } from "../answers";
import { ms, type Bar, type GapRow, type Prediction, type Trade } from "../wire";
import { faint, type Palette } from "./palette";

export interface Layers {
  bars: readonly Bar[];
  step: number;
  predictions: readonly Prediction[];
  late: readonly Trade[];
  gaps: readonly GapRow[];
  anomalies: readonly number[];
  regimes: readonly Stretch[];
  /** Closes of candles that a model of anomalies calls odd. */
  odd: readonly number[];
  simulated: boolean;
  palette: Palette;
  showPredictions: boolean;
  priceText: (price: number) => string;
}

export interface Scene extends Layers {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  spacing: number;
  x: (at: number) => number | null;
  y: (price: number | null) => number | null;
}

const TINY_SPACING = 1.5;

/** The predictions whose target lies ahead of what has closed. */
export function openOnes({ predictions, bars }: Layers): Prediction[] {
  const closed = bars.at(-1)?.close_ms ?? 0;
  return predictions.filter((one) => !one.outcome && one.target > closed);
}

function hatch(scene: Scene, left: number, right: number): void {
  const { context, height } = scene;
  context.save();
  context.beginPath();
  context.rect(left, 0, right - left, height);
  context.clip();
  context.beginPath();
  for (let x = left - height - ((left - height) % 7); x < right; x += 7) {
    context.moveTo(x, height);
    context.lineTo(x + height, 0);
  }
  context.stroke();
  context.restore();
}

export function drawIncomplete(scene: Scene): void {
  const { bars, context, palette, width, x, step } = scene;
  context.strokeStyle = faint(palette["ink-3"], 0.42);
  context.lineWidth = 1;
  for (let index = firstVisible(scene); index < bars.length; index++) {
    const bar = bars[index];
    if (!bar || bar.complete) continue;
    const left = x(bar.open_ms);
    let end = index;
    while (bars[end + 1]?.complete === false) end++;
    const right = x((bars[end]?.open_ms ?? bar.open_ms) + step - 1);
    if (left === null || right === null || left > width) return;
    hatch(scene, Math.max(0, left), Math.min(width, Math.max(right, left + 1)));
    index = end;
  }
}

/** The candles that a gap lies in: trades of them are missing, and either may come yet or never will. */
export function drawGaps(scene: Scene): void {
  const { gaps, context, palette, width, height, x, step } = scene;
  context.lineWidth = 1;
  for (const gap of gaps) {
    const [begun, ended] = [ms(gap.from_time), ms(gap.to_time)];
    if (gap.status === "healed" || Number.isNaN(begun) || Number.isNaN(ended)) continue;
    const left = x(Math.floor(begun / step) * step);
    const right = x((Math.floor(ended / step) + 1) * step - 1);
    if (right === null || right < 0 || (left ?? 0) > width) continue;
    const colour = gap.status === "open" ? palette.warn : palette.bad;
    const [from, to] = [Math.max(0, left ?? 0), Math.min(width, Math.max(right, (left ?? 0) + 2))];
    context.strokeStyle = faint(colour, 0.6);
    hatch(scene, from, to);
    context.fillStyle = colour;
    context.fillRect(from, height - 3, to - from, 3);
  }
}

function firstVisible({ bars, step, x, spacing }: Scene): number {
  const origin = bars[0] ? x(bars[0].open_ms + step / 2) : null;
  return origin === null ? bars.length : Math.max(0, Math.floor(-origin / spacing));
}

export function drawAnomalies(scene: Scene): void {
  const { anomalies, context, palette, height, spacing, x, step } = scene;
  context.fillStyle = faint(palette.warn, 0.14);
  for (const asOf of anomalies) {
    const middle = x(asOf - step / 2);
    if (middle !== null) context.fillRect(middle - spacing / 2, 0, Math.max(2, spacing), height);
  }
}

const BANDS: Readonly<Record<string, { height: number; colour: "heat-low" | "ink-3" | "heat-high"; opacity: number }>> =
  {
    low: { height: 2, colour: "heat-low", opacity: 0.7 },
    normal: { height: 3, colour: "ink-3", opacity: 0.45 },
    high: { height: 5, colour: "heat-high", opacity: 0.75 },
  };

/** A quiet band along the upper edge: the more restless the regime, the thicker. */
export function drawRegimes({ regimes, context, palette, width, x, showPredictions }: Scene): void {
  for (const { from, to, label } of showPredictions ? regimes : []) {
    const band = BANDS[label];
    const right = x(to - 1);
    if (!band || right === null || right < 0) continue;
    const left = Math.max(0, x(from) ?? 0);
    if (left > width) continue;
    context.fillStyle = faint(palette[band.colour], band.opacity);
    context.fillRect(left, 0, Math.max(1, Math.min(width, right) - left), band.height);
  }
}

/** A small mark below the band, over each candle that a model calls odd. */
export function drawOdd({ odd, context, palette, width, x, step, showPredictions }: Scene): void {
  context.strokeStyle = palette.warn;
  context.lineWidth = 1.25;
  for (const close of showPredictions ? odd : []) {
    const at = x(close - step / 2);
    if (at === null || at < 0 || at > width) continue;
    context.beginPath();
    context.moveTo(at - 3.5, 8);
    context.lineTo(at + 3.5, 8);
    context.lineTo(at, 14);
    context.closePath();
    context.stroke();
  }
}

export function drawSimulated({ simulated, context, palette, height }: Scene): void {
  if (!simulated) return;
  context.font = `600 11px ${palette.font}`;
  context.letterSpacing = "2px";
  const width = context.measureText("SIMULATED").width + 12;
  context.fillStyle = faint(palette.panel, 0.85);
  context.fillRect(8, height - 27, width, 19);
  context.strokeStyle = context.fillStyle = palette.warn;
  context.strokeRect(8.5, height - 26.5, width, 18);
  context.fillText("SIMULATED", 15, height - 13.5);
}

export function drawScored(scene: Scene): void {
  const { predictions, context, palette, spacing, width, x, y, showPredictions } = scene;
  if (!showPredictions || spacing < TINY_SPACING) return;
  const reach = Math.min(2.25, spacing / 3);
  for (const one of predictions) {
    if (!one.outcome) continue;
    const at = x(one.target);
    const middle = y(one.price);
    if (at === null || middle === null || at < -4 || at > width + 4) continue;
    const missed = one.outcome.inside === false;
    context.strokeStyle = faint(missed ? palette.warn : palette.pred, missed ? 0.5 : 0.25);
    context.fillStyle = missed ? palette.panel : palette.pred;
    context.lineWidth = 1;
    stroke(context, at, y(one.priceLow), y(one.priceHigh));
    context.beginPath();
    context.arc(at, middle, reach, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = palette.warn;
    if (missed) context.stroke();
  }
}

function stroke(context: CanvasRenderingContext2D, x: number, low: number | null, high: number | null): void {
  if (low === null || high === null) return;
  context.beginPath();
  context.moveTo(Math.round(x) + 0.5, low);
  context.lineTo(Math.round(x) + 0.5, high);
  context.stroke();
}

/** The fan of what is still open: the interval as a band, the expectation as a line, the newest with its ends. */
export function drawOpen(scene: Scene): void {
  const { context, palette, bars, x, y, showPredictions } = scene;
  const last = bars.at(-1);
  const open = showPredictions ? openOnes(scene) : [];
  if (!last || !open.length) return;
  const points = open.map((one) => ({ x: x(one.target), p: y(one.price), lo: y(one.priceLow), hi: y(one.priceHigh) }));
  const known = points.filter(
    (p): p is { x: number; p: number; lo: number | null; hi: number | null } => p.x !== null && p.p !== null,
  );
  const start = { x: x(last.close_ms) ?? 0, p: y(last.close) ?? 0 };
  band(scene, start, known);
  context.strokeStyle = palette.pred;
  context.setLineDash([3, 3]);
  context.lineWidth = 1.25;
  context.beginPath();
  context.moveTo(start.x, start.p);
  for (const point of known) context.lineTo(point.x, point.p);
  context.stroke();
  context.setLineDash([]);
  context.fillStyle = palette.pred;
  for (const point of known) {
    stroke(context, point.x, point.lo, point.hi);
    context.beginPath();
    context.arc(point.x, point.p, point === known.at(-1) ? 3.5 : 2, 0, 2 * Math.PI);
    context.fill();
  }
}

function band(
  { context, palette }: Scene,
  start: { x: number; p: number },
  points: readonly { x: number; lo: number | null; hi: number | null }[],
): void {
  const bounded = points.filter((p): p is { x: number; lo: number; hi: number } => p.lo !== null && p.hi !== null);
  context.fillStyle = faint(palette.pred, 0.12);
  context.beginPath();
  context.moveTo(start.x, start.p);
  for (const point of bounded) context.lineTo(point.x, point.hi);
  for (const point of bounded.toReversed()) context.lineTo(point.x, point.lo);
  context.closePath();
  context.fill();
}

export function drawLate({ late, context, palette, x, y }: Scene): void {
  context.fillStyle = palette.warn;
  context.strokeStyle = palette.panel;
  for (const trade of late) {
    const at = x(trade.at);
    const price = y(trade.price);
    if (at === null || price === null) continue;
    context.beginPath();
    context.moveTo(at, price - 5);
    context.lineTo(at + 4, price);
    context.lineTo(at, price + 5);
    context.lineTo(at - 4, price);
    context.closePath();
    context.fill();
    context.stroke();
  }
}
