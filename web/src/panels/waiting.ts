/** What stands where the chart would be while there is nothing to draw, and how long that will last. */

import type { Context } from "../context";
import { h, setText } from "../dom";
import { duration, stepOf } from "../format";
import type { State } from "../state";

interface Said {
  title: string;
  detail: string;
}

export function emptyState({ store, session, now, tick }: Context): HTMLElement {
  const title = h("strong", {});
  const text = h("span", {});
  const box = h("div", { class: "empty chart-empty", role: "status" }, title, text);
  const draw = (): void => {
    const said = session.book.bars.length || session.book.running ? null : whyEmpty(store.state, now());
    box.hidden = !said;
    if (said) {
      setText(title, said.title);
      setText(text, said.detail);
    }
  };
  store.onDraw(draw);
  tick(draw);
  return box;
}

/** Why there is no candle to draw. */
export function whyEmpty(state: State, now: number): Said {
  if (state.link.phase !== "live" && !state.status) {
    return { title: "Not connected yet", detail: "The page asks the process again by itself." };
  }
  if (state.history === "failed") return { title: "The candles cannot be had", detail: state.problem ?? "" };
  if (!state.instrument)
    return {
      title: "Nothing is followed yet",
      detail: "Start one: tapeline up BTC-USD.KRAKEN, or tapeline up --demo.",
    };
  if (state.history === "loading")
    return { title: `Loading ${state.instrument}`, detail: `${state.timeframe} candles` };
  const mine = state.status?.instruments.find((row) => row.instrument === state.instrument);
  if (!mine?.last_trade) return { title: "Nothing yet", detail: `Waiting for the first trade of ${state.instrument}.` };
  const left = stepOf(state.timeframe) - (now % stepOf(state.timeframe));
  return {
    title: "No candle has closed yet",
    detail: `The first ${state.timeframe} candle closes in ${duration(left)}.`,
  };
}
