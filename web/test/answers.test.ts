import { describe, expect, it } from "vitest";
import { answersTo, oddOnes, sinceOf, stretchesOf } from "../src/answers";
import { told } from "../src/panels/answers";
import { initial, KEPT, reduce, type State } from "../src/state";
import { toStatus, type Answer } from "../src/wire";
import { answer, features, MINUTE } from "./made";

const regime = (minute: number, label: string): Answer =>
  answer(minute, "regime", { label, probabilities: { [label]: 0.8 }, value: null });
const stated = (...rows: Answer[]): State => {
  const begun = reduce(initial(0, "dark", "utc"), { kind: "select", instrument: "A.SIM", timeframe: "1m" });
  const status = toStatus({ now: "1970-01-01T00:00:00Z", anomaly_threshold: 0.99 });
  return reduce(reduce(begun, { kind: "status", status, now: 0 }), { kind: "answers", rows });
};

describe("answers", () => {
  it("are kept once, by time, and at most so many", () => {
    const rows = Array.from({ length: KEPT.answers + 3 }, (_, minute) => answer(minute, "anomaly")).reverse();
    const kept = reduce(stated(...rows), { kind: "answers", rows: rows.slice(0, 5) }).answers;
    expect(kept.length).toBe(KEPT.answers);
    expect(kept[0]?.asOf).toBe(3 * MINUTE);
  });

  it("are let go with their timeframe", () => {
    const state = reduce(stated(answer(1, "anomaly")), { kind: "select", instrument: "A.SIM", timeframe: "5m" });
    expect(state.answers).toEqual([]);
  });

  it("of several horizons are those of the one that was answered last", () => {
    const rows = [answer(1, "anomaly", { horizon: "1h" }), answer(2, "anomaly"), answer(3, "regime")];
    expect(answersTo(rows, "anomaly")).toEqual([rows[1]]);
  });
});

describe("a direction that answers apart", () => {
  it("is told as the chance of a rise", () => {
    expect(told("direction", stated(answer(1, "direction", { value: 0.36 })))).toMatchObject({ text: "up 36%" });
  });
});

describe("regimes", () => {
  it("are stretches of candles, cut where one is missing", () => {
    const rows = [regime(1, "low"), regime(2, "low"), regime(4, "low"), regime(5, "high")];
    expect(stretchesOf(rows, MINUTE)).toEqual([
      { from: 0, to: 2 * MINUTE, label: "low" },
      { from: 3 * MINUTE, to: 4 * MINUTE, label: "low" },
      { from: 4 * MINUTE, to: 5 * MINUTE, label: "high" },
    ]);
  });

  it("begin when another ended, or at least when they were seen first", () => {
    expect(sinceOf([regime(1, "low"), regime(2, "high"), regime(3, "high")], MINUTE)).toEqual({
      at: 2 * MINUTE,
      known: true,
    });
    expect(sinceOf([regime(1, "low"), regime(3, "high")], MINUTE)).toEqual({ at: 3 * MINUTE, known: false });
    expect(sinceOf([], MINUTE)).toBeNull();
  });

  it("are named with their probability and since when", () => {
    const said = told("regime", stated(regime(61, "low"), regime(62, "high"), regime(63, "high")));
    expect(said).toMatchObject({ text: "high 80%", detail: "since 01:02", label: "high" });
    expect(told("regime", stated(regime(61, "low")))?.detail).toBe("since at least 01:01");
  });
});

describe("anomalies", () => {
  const rows = [answer(1, "anomaly", { value: 0.995 }), answer(2, "anomaly", { value: 0.98 })];

  it("are those above the threshold of the process", () => {
    expect(oddOnes(rows, 0.99)).toEqual([MINUTE]);
    expect(oddOnes(rows, null)).toEqual([]);
  });

  it("say how odd the newest row is", () => {
    expect(told("anomaly", stated(...rows))).toMatchObject({ text: "usual", detail: "odder than 98%", level: "none" });
    expect(told("anomaly", stated(...rows.slice(0, 1)))).toMatchObject({
      text: "odd",
      detail: "odder than 99.5%",
      level: "warn",
    });
  });
});

describe("the other targets", () => {
  it("are of then, where the newest row got no answer", () => {
    const rows = [features(61, {}), features(62, {})];
    const state = reduce(stated(regime(61, "low")), { kind: "features", rows });
    expect(told("regime", state)).toMatchObject({
      text: "low 80%",
      detail: "not since 01:01:00",
      level: "past",
    });
    expect(told("regime", reduce(state, { kind: "answers", rows: [regime(62, "low")] }))?.level).toBe("none");
  });

  it("tell volatility in basis points, and nothing where no model answers", () => {
    const state = stated(answer(1, "volatility", { value: 0.00123 }));
    expect(told("volatility", state)).toMatchObject({ text: "12.3 bp", detail: "expected over 5m" });
    expect(told("regime", state)).toBeNull();
  });
});
