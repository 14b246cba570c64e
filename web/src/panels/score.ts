/** The running score: how predictions came out, always beside the baseline and with its interval. */

import * as api from "../api";
import type { Context } from "../context";
import { empty, h } from "../dom";
import { basisPoints, compact, fixed, percent } from "../format";
import { Polled, type Answer } from "../polled";
import { when } from "../store";
import { whisker } from "./interval";

interface Interval {
  value: number | null;
  low: number | null;
  high: number | null;
}

/** What a model version got, what "the price stays" got on the same outcomes, and the gain over it. */
export interface ErrorRow {
  timeframe: string;
  horizon: string;
  model: string;
  predictions: number;
  excluded: number;
  last: string;
  error: Interval;
  baseline: Interval;
  gain: Interval;
  hit_rate: Interval | null;
  inside: number | null;
}

const EVERY = 10_000;

export function score({ store }: Context): HTMLElement {
  const body = h("div", { class: "score" });
  const ask = async (): Promise<ErrorRow[]> => {
    const { instrument, timeframe } = store.state;
    if (!instrument) return [];
    const rows = await api.list<ErrorRow>("errors", { instrument });
    return rows.filter((row) => row.timeframe === timeframe).sort((a, b) => b.last.localeCompare(a.last));
  };
  const polled = new Polled(
    ask,
    (answer) => {
      body.replaceChildren(...shown(answer));
    },
    EVERY,
  );
  store.onDraw(
    when(["instrument", "timeframe"], () => {
      polled.start();
    }),
  );
  return body;
}

function shown({ value, problem }: Answer<ErrorRow[]>): HTMLElement[] {
  const title = h("h3", {}, "Score against the baseline");
  if (problem) return [title, empty("The score cannot be told", problem)];
  const rows = (value ?? []).filter((row) => row.predictions > 0);
  if (!rows.length)
    return [
      title,
      h("p", { class: "note" }, "No outcome is known yet. The first comes one horizon after the first prediction."),
    ];
  return [title, ...rows.slice(0, 2).flatMap(one)];
}

/** Whether a gain and its interval say anything, in words. */
export function verdict({ low, high }: Interval): { text: string; sign: "up" | "down" | "" } {
  if (low === null || high === null) return { text: "Too few outcomes to tell an edge from luck.", sign: "" };
  if (low > 0) return { text: "Better than “the price stays”: the interval lies above zero.", sign: "up" };
  if (high < 0) return { text: "Worse than “the price stays”: the interval lies below zero.", sign: "down" };
  return { text: "No edge found: the interval holds zero.", sign: "" };
}

function line(name: string, value: string, picture: Node): HTMLElement {
  return h("div", { class: "score-row" }, h("span", {}, name), picture, h("span", { class: "number" }, value));
}

function one(row: ErrorRow): HTMLElement[] {
  const { gain, hit_rate: hit } = row;
  const told = verdict(gain);
  const reach = Math.max(...[gain.low, gain.high, gain.value].map((end) => Math.abs(end ?? 0))) * 1.15 || 1;
  const better = `Error less than the baseline's by ${basisPoints(gain.value, 2)} bp, zero marked`;
  const inside = row.inside === null ? "" : ` · ${percent(row.inside, 0)} ended inside the interval`;
  return [
    hit ? hitRate(hit) : h("p", { class: "note" }, "No direction could be right or wrong yet."),
    line(
      "Better by",
      `${basisPoints(gain.value, 2)} bp`,
      whisker(gain.value, gain.low, gain.high, { from: -reach, to: reach, nothing: 0 }, better),
    ),
    h("p", { class: `verdict ${told.sign}` }, told.text),
    h(
      "p",
      { class: "note" },
      `${row.model}: ${compact(row.predictions)} outcomes · error ${bp(row.error.value)}, baseline ${bp(row.baseline.value)}${inside}`,
    ),
  ];
}

function hitRate({ value, low, high }: Interval): HTMLElement {
  const label = `Hit rate ${percent(value)}, interval ${percent(low)} to ${percent(high)}, one half marked`;
  const reach = Math.max(...[low, high, value].map((end) => Math.abs((end ?? 0.5) - 0.5)), 0.1) * 1.15;
  const axis = { from: 0.5 - reach, to: 0.5 + reach, nothing: 0.5 };
  return line("Hit rate", percent(value), whisker(value, low, high, axis, label));
}

function bp(value: number | null): string {
  return value === null ? "–" : `${fixed(value * 1e4, 2)} bp`;
}
