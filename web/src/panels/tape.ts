/** The tape: the last trades, with the aggressor's side and the heat of their size. */

import type { Context } from "../context";
import { h, setAttr, setText } from "../dom";
import { decimalsOf, fixed, instant } from "../format";
import type { State } from "../state";
import { when } from "../store";
import type { Trade } from "../wire";

const ROWS = 60;
const SIDES = { BUY: "▲", SELL: "▼", UNKNOWN: "·" } as const;

interface Line {
  row: HTMLElement;
  time: HTMLElement;
  side: HTMLElement;
  price: HTMLElement;
  qty: HTMLElement;
}

export function tape({ store, decimals }: Context): HTMLElement {
  const lines = Array.from({ length: ROWS }, makeLine);
  const note = h("p", { class: "note no-trade" }, "No trade yet.");
  const body = h(
    "div",
    { class: "tape-rows", tabindex: 0, role: "log", "aria-live": "off", "aria-label": "Last trades" },
    note,
    ...lines.map((line) => line.row),
  );
  const draw = (state: State): void => {
    note.hidden = state.trades.length > 0;
    const sizes = heats(state.trades.map((trade) => trade.qty));
    const places = decimalsOf(state.trades.slice(0, ROWS).map((trade) => trade.qty));
    lines.forEach((line, index) => {
      const trade = state.trades[index];
      line.row.hidden = !trade;
      if (trade) show(line, trade, sizes(trade.qty), decimals(), Math.min(places, 6), state);
    });
  };
  store.onDraw(when(["trades", "zone"], draw));
  return h(
    "section",
    { class: "panel tape", "aria-label": "Tape" },
    h("div", { class: "panel-head" }, h("h2", {}, "Tape"), h("span", { class: "note" }, "heat is size")),
    body,
  );
}

function makeLine(): Line {
  const [time, side, price, qty] = [
    h("span"),
    h("span", { class: "side" }),
    h("span", { class: "number" }),
    h("span", { class: "number qty" }),
  ];
  return { row: h("div", { class: "trade", hidden: true }, time, side, price, qty), time, side, price, qty };
}

function show(line: Line, trade: Trade, heat: number, decimals: number, places: number, state: State): void {
  setText(line.time, instant(trade.at, "time", state.zone));
  setText(line.side, SIDES[trade.side]);
  setText(line.price, fixed(trade.price, decimals));
  setText(line.qty, fixed(trade.qty, places));
  setAttr(line.row, "data-side", trade.side);
  setAttr(line.row, "data-heat", String(heat));
  setAttr(line.row, "data-late", trade.late ? "" : null);
  setAttr(line.row, "title", trade.late ? "Late: its candle had closed already" : null);
}

/** How hot a size is among these, 0 to 4: the share of sizes that are smaller. */
export function heats(sizes: readonly number[]): (size: number) => number {
  const sorted = sizes.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Infinity;
  const limits = [at(0.5), at(0.75), at(0.9), at(0.97)];
  return (size) => limits.filter((limit) => size > limit).length;
}
