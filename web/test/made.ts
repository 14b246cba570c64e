/** Rows for tests. */

import type { Answer, Bar, Features, Prediction, Trade } from "../src/wire";

export const MINUTE = 60_000;

export function bar(minute: number, change: Partial<Bar> = {}): Bar {
  const open_ms = minute * MINUTE;
  const prices = { open: 10, high: 12, low: 9, close: 11 };
  const rest = { volume: 1, buyVolume: null, vwap: null, trades: 3, complete: true, closed: true };
  return { open_ms, close_ms: open_ms + MINUTE, ...prices, ...rest, ...change };
}

export function prediction(minute: number, change: Partial<Prediction> = {}): Prediction {
  const asOf = minute * MINUTE;
  const times = { madeAt: asOf + 5, asOf, target: asOf + 5 * MINUTE, horizon: "5m" };
  const said = {
    value: 0.001,
    low: -0.001,
    high: 0.003,
    pUp: 0.6,
    close: 100,
    price: 100.1,
    priceLow: 99.9,
    priceHigh: 100.3,
  };
  return {
    id: `p${minute}`,
    ...times,
    ...said,
    model: "linear",
    version: "v1",
    set: "bars",
    late: false,
    outcome: null,
    ...change,
  };
}

export function answer(minute: number, target: string, change: Partial<Answer> = {}): Answer {
  const told = { value: 0.5, label: null, probabilities: {}, model: "made up", version: "v" };
  return { id: `${target}${minute}`, target, asOf: minute * MINUTE, horizon: "5m", ...told, ...change };
}

export function features(minute: number, values: Record<string, number | null>, set = "bars"): Features {
  return { set, version: "v", asOf: minute * MINUTE, complete: true, values };
}

export function trade(id: number, change: Partial<Trade> = {}): Trade {
  return { id, at: id * 1000, price: 10, qty: 1, side: "BUY", late: false, ...change };
}
