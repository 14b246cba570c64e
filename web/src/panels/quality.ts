/** Data quality: what is stored of each instrument, and for the chosen one hour by hour whether it is complete. */

import * as api from "../api";
import type { Context } from "../context";
import { empty, h, svg, table } from "../dom";
import { compact, instant, lengthOf, percent, type Zone } from "../format";
import { Polled, type Answer } from "../polled";
import { when } from "../store";
import { toBar, type Bar } from "../wire";

interface Day {
  day: string;
  candles: number;
  complete: number;
  quiet: number;
  trades: number | null;
}

interface QualityRow {
  instrument: string;
  timeframe: string;
  source: string;
  completeness: string;
  open_gaps: number | null;
  missing: number | null;
  late: number;
  dead_letters: number;
  duplicates: number | null;
  days: Day[];
}

interface Found {
  rows: QualityRow[];
  hours: Bar[];
}

const DAYS = 28;
const HOURS = DAYS * 24;
/** The width of a day's cell with the space after it. */
const DAY = 5;

export function quality({ store }: Context): HTMLElement {
  const body = h("div", { class: "dock-body" }, h("p", { class: "empty" }, "Asking…"));
  const ask = async (): Promise<Found> => {
    const { instrument, instruments, timeframe } = store.state;
    const offered = instruments.find((row) => row.instrument === instrument)?.timeframes ?? [timeframe];
    const rows = await api.list<QualityRow>("quality", { timeframe });
    if (!instrument) return { rows, hours: [] };
    const page = await api.candles({ instrument, timeframe: longest(offered), limit: HOURS });
    return { rows, hours: page.items.map(toBar) };
  };
  const show = (answer: Answer<Found>): void => {
    if (!body.isConnected) polled.stop();
    else body.replaceChildren(...shown(answer, store.state.zone, store.state.instrument));
  };
  const polled = new Polled<Found>(ask, show, 30_000);
  store.onDraw(
    when(["instrument", "zone"], () => {
      if (body.isConnected) polled.start();
    }),
  );
  queueMicrotask(() => {
    polled.start();
  });
  return body;
}

/** The longest timeframe of at most an hour. */
export function longest(offered: readonly string[]): string {
  const fitting = offered.filter((name) => lengthOf(name) <= 36e5 && !name.includes("/"));
  return fitting.toSorted((a, b) => lengthOf(b) - lengthOf(a))[0] ?? offered[0] ?? "1m";
}

function shown({ value, problem }: Answer<Found>, zone: Zone, instrument: string | null): HTMLElement[] {
  if (problem || !value) return [empty("Quality cannot be told", problem ?? "")];
  if (!value.rows.length) return [empty("Nothing is stored yet", "Coverage is shown once trades are stored.")];
  return [
    h("div", { class: "split with-calendar" }, stored(value.rows), calendar(value.hours, zone, instrument ?? "")),
  ];
}

function stored(rows: readonly QualityRow[]): HTMLElement {
  const level = (row: QualityRow): string =>
    row.completeness.startsWith("proven") ? "ok" : row.completeness === "gaps" ? "warn" : "none";
  const heads = [
    "Instrument",
    "Completeness",
    "Complete#",
    `Last ${DAYS} days`,
    "Missing ids#",
    "Duplicates#",
    "Late#",
    "Dead letters#",
  ];
  const stored = table(
    "What is stored",
    heads,
    rows.map((row) => [
      h("span", {}, row.instrument, row.source === "trades" ? null : h("small", {}, "imported candles")),
      h("span", { class: "state", "data-level": level(row) }, row.completeness),
      percent(shareComplete(row.days), 2),
      strip(row.days),
      compact(row.missing),
      compact(row.duplicates),
      compact(row.late),
      compact(row.dead_letters),
    ]),
  );
  stored.classList.add("stored");
  return stored;
}

/** The share of candles that are complete; null without any. */
export function shareComplete(days: readonly Pick<Day, "candles" | "complete">[]): number | null {
  const all = days.reduce((total, day) => total + day.candles, 0);
  return all ? days.reduce((total, day) => total + day.complete, 0) / all : null;
}

/** The last days as a row of cells: full where every candle is complete. */
function strip(days: readonly Day[]): SVGElement {
  const newest = Date.parse(days.at(-1)?.day ?? "");
  const cells = days.flatMap((day) => {
    const back = (newest - Date.parse(day.day)) / 864e5;
    if (back >= DAYS) return [];
    const cell = svg("rect", {
      x: (DAYS - 1 - back) * DAY,
      y: 0,
      width: DAY - 1,
      height: 12,
      class: day.complete === day.candles ? "complete" : "incomplete",
    });
    cell.append(title(`${day.day}: ${day.complete} of ${day.candles} candles complete`));
    return [cell];
  });
  const share = percent(shareComplete(days), 2);
  return svg(
    "svg",
    {
      viewBox: `0 0 ${DAYS * DAY} 12`,
      width: DAYS * DAY,
      height: 12,
      class: "days",
      role: "img",
      "aria-label": `The last ${DAYS} days: ${share} of candles complete`,
    },
    ...cells,
  );
}

function title(content: string): SVGElement {
  const node = svg("title");
  node.textContent = content;
  return node;
}

export interface Hour {
  day: number;
  hour: number;
  state: "complete" | "incomplete";
}

/** Each hour that holds a candle: incomplete as soon as one candle of it is. */
export function hoursOf(bars: readonly Bar[], offset: number): Hour[] {
  const hours = new Map<number, boolean>();
  for (const bar of bars) {
    const hour = Math.floor((bar.open_ms + offset) / 36e5);
    hours.set(hour, (hours.get(hour) ?? true) && bar.complete);
  }
  return [...hours].map(([hour, complete]) => ({
    day: Math.floor(hour / 24),
    hour: ((hour % 24) + 24) % 24,
    state: complete ? "complete" : "incomplete",
  }));
}

const CELL = 11;
const LEFT = 44;

function calendar(bars: readonly Bar[], zone: Zone, instrument: string): HTMLElement {
  const offset = zone === "utc" ? 0 : -new Date(bars.at(-1)?.open_ms ?? 0).getTimezoneOffset() * 6e4;
  const hours = hoursOf(bars, offset);
  if (!hours.length) return empty("No candle yet", "The calendar begins with the first one.");
  const days = hours.map((hour) => hour.day);
  const newest = Math.max(...days);
  const oldest = Math.max(Math.min(...days), newest - DAYS);
  const cells = hours
    .filter((hour) => hour.day >= oldest)
    .map(({ day, hour, state }) =>
      svg("rect", {
        x: LEFT + hour * (CELL + 1),
        y: 14 + (newest - day) * (CELL + 1),
        width: CELL,
        height: CELL,
        class: state,
      }),
    );
  const labels = Array.from({ length: newest - oldest + 1 }, (_, row) =>
    text(0, 23 + row * (CELL + 1), instant((newest - row) * 864e5, "day", "utc")),
  );
  const heads = [0, 6, 12, 18].map((hour) => text(LEFT + hour * (CELL + 1), 9, `${String(hour).padStart(2, "0")}h`));
  const bad = hours.filter((hour) => hour.state === "incomplete").length;
  const said = `${instrument}: ${hours.length - bad} of ${hours.length} hours complete`;
  const [width, height] = [LEFT + 24 * (CELL + 1), 16 + (newest - oldest + 1) * (CELL + 1)];
  return h(
    "div",
    { class: "calendar" },
    h("h3", {}, "Coverage by hour"),
    h("p", { class: "note" }, said),
    svg(
      "svg",
      { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": said },
      ...heads,
      ...labels,
      ...cells,
    ),
  );
}

function text(x: number, y: number, content: string): SVGElement {
  const node = svg("text", { x, y });
  node.textContent = content;
  return node;
}
