/** Where there is no prediction yet: what is missing, and how long that takes. */

import { instrumentStatus, type Context } from "../context";
import { h } from "../dom";
import { duration, stepOf } from "../format";
import type { State } from "../state";

interface Missing {
  title: string;
  detail: string;
  /** From 0 to 1; null where it is not known. */
  done: number | null;
}

export function warmUp({ store }: Context): HTMLElement {
  const { title, detail, done } = whatIsMissing(store.state);
  const meter = h("progress", { max: 1, value: done ?? 0, "aria-label": title });
  meter.hidden = done === null;
  return h(
    "div",
    {},
    h("div", { class: "panel-head" }, h("h2", {}, "Prediction")),
    h("div", { class: "empty" }, h("strong", {}, title), h("span", {}, detail), meter),
  );
}

/** Why nothing is predicted. */
export function whatIsMissing(state: State): Missing {
  const rows = Object.values(state.features).flatMap((list) => list.slice(-1));
  if (!state.instrument || !rows.length) {
    return { title: "Nothing to predict from yet", detail: "Features come with the first closed candle.", done: null };
  }
  const warm = instrumentStatus(state)?.warmup?.[state.timeframe];
  if (warm && warm.have < warm.needed) {
    const left = duration((warm.needed - warm.have) * stepOf(state.timeframe));
    return {
      title: "Warming up",
      detail: `${warm.have} of ${warm.needed} candles in a row: ready in about ${left}.`,
      done: warm.have / warm.needed,
    };
  }
  const values = rows.flatMap((row) => Object.values(row.values));
  const known = values.filter((value) => value !== null).length;
  if (known < values.length) {
    const text = `${known} of ${values.length} features are known; the others need more ${state.timeframe} candles in a row.`;
    return { title: "Warming up", detail: text, done: known / values.length };
  }
  if (rows.some((row) => !row.complete)) {
    return {
      title: "Waiting for complete candles",
      detail: "A window holds an incomplete candle, and nothing is predicted from it.",
      done: null,
    };
  }
  return {
    title: "No model answers yet",
    detail: `Train one, with the process stopped: tapeline train ${state.instrument} --timeframe ${state.timeframe}`,
    done: null,
  };
}
