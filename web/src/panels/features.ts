/** The heatmap of features: each against its own recent past, so that all can be seen at once. */

import type { Context } from "../context";
import { empty, h, setText } from "../dom";
import { instant, lengthOf, short } from "../format";
import type { State } from "../state";
import { when } from "../store";
import type { Features } from "../wire";

const ROW = 15;
const LABEL = 168;
const VALUE = 74;
/** Robust deviations from its recent median at which a value has the full colour. */
const FAR = 4;

interface Spread {
  median: number;
  deviation: number;
}

/** The median, and the median distance from it scaled to a normal's deviation. */
export function spread(values: readonly number[]): Spread {
  const middle = (sorted: readonly number[]): number => {
    const half = sorted.length >> 1;
    return sorted.length % 2 ? (sorted[half] ?? NaN) : ((sorted[half - 1] ?? NaN) + (sorted[half] ?? NaN)) / 2;
  };
  const median = middle(values.toSorted((a, b) => a - b));
  return { median, deviation: 1.4826 * middle(values.map((value) => Math.abs(value - median)).sort((a, b) => a - b)) };
}

function column(rows: readonly Features[], name: string): (number | null)[] {
  return rows.map((row) => row.values[name] ?? null);
}

/** Distances from the median in robust deviations; null where the value or its scale is unknown. */
export function scores(values: readonly (number | null)[]): (number | null)[] {
  const known = values.filter((value) => value !== null);
  const { median, deviation } = spread(known);
  return values.map((value) =>
    value === null || known.length < 20 || !(deviation > 0) ? null : (value - median) / deviation,
  );
}

export function features({ store }: Context): HTMLElement {
  const canvas = h("canvas", { role: "img", "aria-label": "Heatmap of features over the last candles" });
  const told = h("p", { class: "note", role: "status" });
  const sets = h("div", { class: "segments", role: "group", "aria-label": "Feature set" });
  const nothing = empty("No feature yet", "Features come with the first closed candle.");
  const scroll = h(
    "div",
    { class: "heat-scroll", tabindex: 0, role: "region", "aria-label": "Features" },
    canvas,
    nothing,
  );
  const said = h("span", { class: "note" }, "robust deviations from the recent median");
  const tools = h("div", { class: "dock-tools" }, sets, said, key(), told);
  let wanted = "market";
  let chosen = "";
  const draw = (state: State): void => {
    const names = Object.keys(state.features).sort();
    chosen = names.includes(wanted) ? wanted : (names[0] ?? "");
    const buttons = names.map((name) =>
      h(
        "button",
        {
          "aria-pressed": String(name === chosen),
          click: () => {
            wanted = name;
            draw(store.state);
          },
        },
        name,
      ),
    );
    if (sets.childElementCount !== names.length || sets.querySelector("[aria-pressed=true]")?.textContent !== chosen)
      sets.replaceChildren(...buttons);
    const rows = state.features[chosen] ?? [];
    canvas.hidden = !rows.length;
    nothing.hidden = rows.length > 0;
    tools.hidden = !rows.length;
    if (rows.length && canvas.isConnected) paint(canvas, scroll.clientWidth, rows);
  };
  const redraw = (): void => {
    draw(store.state);
  };
  store.onDraw(when(["features", "theme", "instrument"], redraw));
  new ResizeObserver(redraw).observe(scroll);
  canvas.addEventListener("pointermove", (event) => {
    setText(told, under(event, canvas, store.state, chosen));
  });
  canvas.addEventListener("pointerleave", () => {
    setText(told, "");
  });
  return h("div", { class: "dock-body" }, tools, scroll);
}

function key(): HTMLElement {
  return h(
    "span",
    { class: "heat-key", "aria-hidden": "true" },
    h("span", {}, `−${FAR}`),
    h("i", {}),
    h("span", {}, `+${FAR}`),
  );
}

function paint(canvas: HTMLCanvasElement, width: number, rows: readonly Features[]): void {
  const names = Object.keys(rows.at(-1)?.values ?? {});
  const ratio = window.devicePixelRatio;
  const height = names.length * ROW;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  if (!context) return;
  context.scale(ratio, ratio);
  const style = getComputedStyle(canvas);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const ink = {
    ink: colour("ink"),
    quiet: colour("ink-2"),
    high: colour("heat-high"),
    low: colour("heat-low"),
    none: colour("line"),
  };
  context.font = `11px ${style.fontFamily}`;
  context.textBaseline = "middle";
  const shown = rows.slice(-columnsIn(width));
  names.forEach((name, index) => {
    paintRow(context, { name, top: index * ROW, width }, column(rows, name), shown.length, ink);
  });
}

function columnsIn(width: number): number {
  return Math.max(20, Math.min(160, Math.floor((width - LABEL - VALUE) / 6)));
}

interface Inks {
  ink: string;
  quiet: string;
  high: string;
  low: string;
  none: string;
}

function paintRow(
  context: CanvasRenderingContext2D,
  at: { name: string; top: number; width: number },
  values: readonly (number | null)[],
  count: number,
  inks: Inks,
): void {
  const label = at.width < 500 ? 130 : LABEL;
  const cell = (at.width - label - VALUE) / count;
  context.fillStyle = inks.quiet;
  context.textAlign = "left";
  context.fillText(at.name, 8, at.top + ROW / 2);
  scores(values)
    .slice(-count)
    .forEach((score, index) => {
      context.globalAlpha = score === null ? 0.5 : Math.min(1, 0.06 + (Math.abs(score) / FAR) * 0.94);
      context.fillStyle = score === null ? inks.none : score > 0 ? inks.high : inks.low;
      context.fillRect(label + index * cell, at.top + 1, Math.max(1, cell - 0.75), score === null ? 1 : ROW - 2);
    });
  context.globalAlpha = 1;
  context.fillStyle = inks.ink;
  context.textAlign = "right";
  context.fillText(short(values.at(-1)), at.width - 8, at.top + ROW / 2);
}

function under(event: PointerEvent, canvas: HTMLCanvasElement, state: State, set: string): string {
  const rows = state.features[set] ?? [];
  const width = canvas.clientWidth;
  const label = width < 500 ? 130 : LABEL;
  const shown = rows.slice(-columnsIn(width));
  const row = shown[Math.floor(((event.offsetX - label) / (width - label - VALUE)) * shown.length)];
  const name = Object.keys(rows.at(-1)?.values ?? {})[Math.floor(event.offsetY / ROW)];
  if (!row || name === undefined) return "";
  return `${name} ${short(row.values[name])} at ${instant(row.asOf - lengthOf(state.timeframe), "minute", state.zone)}`;
}
