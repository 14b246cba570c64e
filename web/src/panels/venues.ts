/** The venues of one asset, in the order of their last price, and how far apart they are. */

import { assetOf, type Context } from "../context";
import { empty, h, table } from "../dom";
import { decimalsOf, duration, fixed, pairOf, short, signed } from "../format";
import type { State } from "../state";
import { ms, type InstrumentStatus } from "../wire";

export function venues({ store, now, tick }: Context): HTMLElement {
  const body = h("div", { class: "dock-body" });
  const draw = (): void => {
    if (body.isConnected && !body.contains(document.activeElement)) body.replaceChildren(order(store.state, now()));
  };
  tick(draw);
  queueMicrotask(draw);
  return body;
}

/** The middle of the prices: what each venue's distance is measured from. */
export function middleOf(prices: readonly number[]): number {
  const sorted = prices.toSorted((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? (sorted[half] ?? NaN) : ((sorted[half - 1] ?? NaN) + (sorted[half] ?? NaN)) / 2;
}

function order(state: State, now: number): HTMLElement {
  if (!state.instrument) return empty("No instrument is followed", "Nothing is coming in.");
  const asset = assetOf(state.instrument);
  const rows = (state.status?.instruments ?? []).filter(
    (row) => assetOf(row.instrument) === asset && row.price !== null,
  );
  if (!rows.length) return empty(`No live price of ${asset}`, "Venues are compared once trades come in.");
  const sorted = rows.toSorted((a, b) => (b.price ?? 0) - (a.price ?? 0));
  const middle = middleOf(sorted.map((row) => row.price ?? NaN));
  const heads = ["Venue", "Pair", "Last price#", "From the middle#", "Trades/s#", "Last trade#", "Source"];
  return table(
    `Venues of ${asset} by price`,
    heads,
    sorted.map((row) => line(row, middle, now)),
  );
}

function line(row: InstrumentStatus, middle: number, now: number): (Node | string)[] {
  const price = row.price ?? NaN;
  const off = (price / middle - 1) * 1e4;
  return [
    row.venue,
    pairOf(row.instrument),
    fixed(price, decimalsOf([price])),
    `${signed(fixed(off, 1))} bp`,
    row.trades_per_second === null ? "–" : short(row.trades_per_second),
    row.last_trade ? duration(now - ms(row.last_trade)) : "none",
    row.simulated ? h("strong", { class: "badge simulated" }, "SIMULATED") : "live",
  ];
}
