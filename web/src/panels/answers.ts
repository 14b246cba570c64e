/** What models of other targets say of the newest candle: regime, anomaly, volatility, and what else was trained. */

import { answersTo, sinceOf } from "../answers";
import type { Context } from "../context";
import { h } from "../dom";
import { basisPoints, instant, percent, stepOf } from "../format";
import type { State } from "../state";
import { when } from "../store";
import type { Answer } from "../wire";

const SHOWN = ["regime", "anomaly", "volatility"] as const;
const NAMES: Readonly<Record<string, string>> = {
  regime: "Regime",
  anomaly: "Anomaly",
  volatility: "Volatility",
  direction3: "Direction",
  barrier: "Barrier",
  trend: "Trend",
};

export interface Told {
  target: string;
  text: string;
  detail: string;
  level: "none" | "warn" | "past";
  label: string | null;
}

/** What is said of a target, or null where no model said anything. */
export function told(target: string, state: State): Told | null {
  const answers = answersTo(state.answers, target);
  const newest = answers.at(-1);
  if (!newest) return null;
  if (newest.asOf < newestRow(state)) return { ...ofNow(newest, answers, state), ...past(newest, state) };
  return ofNow(newest, answers, state);
}

/** The close of the newest candle that there are features of, ms. */
function newestRow({ features }: State): number {
  return Math.max(0, ...Object.values(features).flatMap((rows) => rows.slice(-1).map((one) => one.asOf)));
}

/** A model says nothing of a row whose window is not whole: what it said last is of then. */
function past({ asOf }: Answer, { zone }: State): Pick<Told, "detail" | "level"> {
  return { detail: `not since ${instant(asOf, "time", zone)}`, level: "past" };
}

function ofNow(newest: Answer, answers: readonly Answer[], state: State): Told {
  const { target } = newest;
  if (newest.label !== null) return ofClass(newest, answers, state);
  if (target === "direction") {
    return {
      target,
      text: `up ${percent(newest.value, 0)}`,
      detail: `over ${newest.horizon}`,
      level: "none",
      label: null,
    };
  }
  if (target === "anomaly") return ofAnomaly(newest, state.status?.anomaly_threshold ?? null);
  const text = newest.value === null ? "unknown" : `${basisPoints(newest.value).replace("+", "")} bp`;
  return { target, text, detail: `expected over ${newest.horizon}`, level: "none", label: null };
}

function ofClass(newest: Answer, answers: readonly Answer[], { zone, timeframe }: State): Told {
  const label = newest.label ?? "";
  const since = sinceOf(answers, stepOf(timeframe));
  const begun = since ? `${since.known ? "since" : "since at least"} ${instant(since.at, "minute", zone)}` : "";
  const text = `${label} ${percent(newest.probabilities[label] ?? null, 0)}`;
  return { target: newest.target, text, detail: begun, level: "none", label };
}

function ofAnomaly({ value, target }: Answer, threshold: number | null): Told {
  const odd = value !== null && threshold !== null && value > threshold;
  return {
    target,
    text: odd ? "odd" : "usual",
    detail: `odder than ${percent(value, (value ?? 0) < 0.99 ? 0 : 1)}`,
    level: odd ? "warn" : "none",
    label: null,
  };
}

function row(one: Told): HTMLElement {
  const swatch = one.target === "regime" ? h("b", { class: `regime ${one.label ?? ""}`, "aria-hidden": "true" }) : "";
  return h(
    "div",
    {},
    h("dt", {}, NAMES[one.target] ?? one.target),
    h("dd", { "data-level": one.level }, swatch, one.text),
    h("dd", { class: "detail" }, one.detail),
  );
}

/** What to do about targets that no model answers. */
function untrained(targets: readonly string[], { instrument, timeframe }: State): HTMLElement {
  const names = targets.map((target) => (NAMES[target] ?? target).toLowerCase()).join(" or ");
  const command = `tapeline train ${instrument ?? ""} --timeframe ${timeframe} --target ${targets[0] ?? ""}`;
  return h("p", { class: "note" }, `No model says ${names}. With the process stopped: `, h("code", {}, command));
}

export function answersPanel({ store }: Context): HTMLElement {
  const element = h("div", { class: "answers" });
  const draw = (state: State): void => {
    element.hidden = !state.instrument || state.history !== "ready";
    const others = new Set(
      state.answers.map((one) => one.target).filter((target) => !SHOWN.some((one) => one === target)),
    );
    const asked = [...SHOWN, ...others].map((target) => ({ target, said: told(target, state) }));
    const said = state.predictions.length > 0 || state.answers.length > 0;
    const missing = asked.flatMap(({ target, said: one }) => (one || !said ? [] : [target]));
    const rows = asked.flatMap(({ said }) => (said ? [row(said)] : []));
    element.replaceChildren(
      ...(rows.length ? [h("dl", {}, ...rows)] : []),
      ...(missing.length ? [untrained(missing, state)] : []),
    );
  };
  const parts = ["answers", "predictions", "features", "instrument", "timeframe", "history", "zone"] as const;
  store.onDraw(when(parts, draw));
  let threshold: number | null | undefined;
  store.onDraw(({ status }) => {
    if (status?.anomaly_threshold === threshold) return;
    threshold = status?.anomaly_threshold;
    draw(store.state);
  });
  return element;
}
