/** Exports: each says where it is from, and SIMULATED where it is. */

import type { ChartView } from "./chart/view";
import type { Session } from "./session";
import { isSimulated, type State } from "./state";
import type { Bar } from "./wire";

const COLUMNS = ["open", "high", "low", "close", "volume", "vwap", "trades"] as const;

function save(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function nameOf(state: State, ending: string): string {
  const parts = [
    state.instrument ?? "none",
    state.timeframe.replace("/", "-"),
    ...(isSimulated(state) ? ["SIMULATED"] : []),
  ];
  return `${parts.join("_").replaceAll("/", "-")}.${ending}`;
}

/** Candles as CSV; each row says whether it is simulated. */
export function csv(
  bars: readonly Bar[],
  about: { instrument: string; timeframe: string; simulated: boolean },
): string {
  const head = ["instrument", "timeframe", "open_time", "close_time", ...COLUMNS, "complete", "simulated"];
  const line = (bar: Bar): string =>
    [
      about.instrument,
      about.timeframe,
      new Date(bar.open_ms).toISOString(),
      new Date(bar.close_ms).toISOString(),
      ...COLUMNS.map((column) => bar[column] ?? ""),
      bar.complete,
      about.simulated,
    ].join(",");
  return [head.join(","), ...bars.map(line), ""].join("\n");
}

export function exportTable(state: State, session: Session, view: ChartView): void {
  const seen = view.visible();
  if (!state.instrument || !seen) return;
  const bars = session.book.bars.filter((bar) => bar.open_ms >= seen.from && bar.open_ms <= seen.to);
  const text = csv(bars, { instrument: state.instrument, timeframe: state.timeframe, simulated: isSimulated(state) });
  save(new Blob([text], { type: "text/csv" }), nameOf(state, "csv"));
}

const STRIPE = 28;

/** The chart with a line on top that says what it is. */
export function exportPicture(state: State, view: ChartView): void {
  const chart = view.picture();
  const ratio = window.devicePixelRatio;
  const canvas = document.createElement("canvas");
  canvas.width = chart.width;
  canvas.height = chart.height + STRIPE * ratio;
  const context = canvas.getContext("2d");
  if (!context) return;
  const style = getComputedStyle(document.documentElement);
  context.fillStyle = style.getPropertyValue("--panel");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(chart, 0, STRIPE * ratio);
  context.font = `600 ${12 * ratio}px ${style.getPropertyValue("--font")}`;
  context.fillStyle = style.getPropertyValue(isSimulated(state) ? "--warn" : "--ink");
  const title = [
    state.instrument,
    state.timeframe,
    new Date().toISOString(),
    ...(isSimulated(state) ? ["SIMULATED"] : []),
  ];
  context.fillText(title.join("  ·  "), 12 * ratio, 19 * ratio);
  canvas.toBlob((blob) => {
    if (blob) save(blob, nameOf(state, "png"));
  });
}
