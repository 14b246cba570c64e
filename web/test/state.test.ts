import { describe, expect, it } from "vitest";
import { troubleOf } from "../src/panels/banner";
import { whyEmpty } from "../src/panels/waiting";
import { whatIsMissing } from "../src/panels/warmup";
import { initial, isSimulated, KEPT, newest, reduce, saidSince, type Event, type State } from "../src/state";
import { toStatus, type Status } from "../src/wire";
import { features, prediction, trade } from "./made";

const start = (): State => initial(0, "dark", "utc");
const after = (...events: Event[]): State => events.reduce(reduce, start());
const select: Event = { kind: "select", instrument: "BTC-USD.SIM", timeframe: "1m" };
const status = (change: Partial<Status>): Event => ({
  kind: "status",
  status: toStatus({ now: "1970-01-01T00:00:10Z", ...change }),
  now: 4000,
});
const outcome = { knownAt: 1, value: 0, price: 1, error: 0, inside: true, hit: null };

describe("reduce", () => {
  it("never forgets an outcome when its prediction comes again", () => {
    const state = after(
      { kind: "predictions", rows: [prediction(1)] },
      { kind: "outcomes", rows: [{ id: "p1", outcome }] },
      { kind: "predictions", rows: [prediction(1)] },
    );
    expect(state.predictions[0]?.outcome).toEqual(outcome);
  });

  it("keeps predictions by target and at most so many", () => {
    const rows = Array.from({ length: KEPT.predictions + 10 }, (_, index) => prediction(index)).reverse();
    const state = after({ kind: "predictions", rows });
    expect(state.predictions.length).toBe(KEPT.predictions);
    expect(state.predictions[0]?.id).toBe("p10");
    expect(newest(state.predictions)?.id).toBe(`p${KEPT.predictions + 9}`);
  });

  it("keeps feature rows by time, without repeats, and at most so many", () => {
    const rows = Array.from({ length: KEPT.features + 5 }, (_, index) => features(index, { a: index }));
    const state = after({ kind: "features", rows }, { kind: "features", rows: rows.slice(-3) });
    expect(state.features["bars"]?.length).toBe(KEPT.features);
    expect(state.features["bars"]?.at(-1)?.values["a"]).toBe(KEPT.features + 4);
  });

  it("shows each trade once, the newest first, and remembers late ones", () => {
    const state = after(
      { kind: "trades", rows: [trade(1), trade(2)], snapshot: true },
      { kind: "trades", rows: [trade(2), trade(3, { late: true })], snapshot: false },
    );
    expect(state.trades.map((one) => one.id)).toEqual([3, 2, 1]);
    expect(state.late.map((one) => one.id)).toEqual([3]);
  });

  it("puts healed trades where they happened", () => {
    const first: Event = { kind: "trades", rows: [trade(1), trade(4)], snapshot: false };
    const state = after(first, { kind: "trades", rows: [trade(2), trade(3)], snapshot: false });
    expect(state.trades.map((one) => one.id)).toEqual([4, 3, 2, 1]);
  });

  it("replaces all gaps by a snapshot, and one by an update", () => {
    const gap = { instrument: "A", first_missing: 5, last_missing: 6, count: 2, status: "open" } as const;
    const one = after(
      { kind: "gaps", rows: [gap], snapshot: true },
      { kind: "gaps", rows: [{ ...gap, status: "healed" }], snapshot: false },
    );
    expect(one.gaps.map((row) => row.status)).toEqual(["healed"]);
    expect(reduce(one, { kind: "gaps", rows: [], snapshot: true }).gaps).toEqual([]);
  });

  it("keeps a late trade once, whether the stream or the past told it", () => {
    const state = after(
      { kind: "trades", rows: [{ ...trade(1), late: true }, trade(2)], snapshot: false },
      {
        kind: "late",
        rows: [
          { ...trade(1), late: true },
          { ...trade(3), late: true },
        ],
        since: 500,
      },
    );
    expect([state.late.map((one) => one.id), state.lateSince]).toEqual([[3, 1], 500]);
  });

  it("knows since when all late trades are here, where the oldest are let go too", () => {
    const rows = Array.from({ length: KEPT.late + 5 }, (_, at) => trade(at + 1, { late: true }));
    const state = after({ kind: "late", rows, since: 500 });
    expect([state.late.length, state.lateSince]).toEqual([KEPT.late, 6000]);
    expect(saidSince(state)).toBe(6000);
    expect(reduce(state, { kind: "select", instrument: "B", timeframe: "1m" }).lateSince).toBe(-Infinity);
  });

  it("lets go what belongs to another timeframe, and trades only with the instrument", () => {
    const before = after(
      select,
      { kind: "trades", rows: [trade(1)], snapshot: true },
      { kind: "predictions", rows: [prediction(1)] },
    );
    const other = reduce(before, { kind: "select", instrument: "BTC-USD.SIM", timeframe: "5m" });
    expect([other.predictions.length, other.trades.length]).toEqual([0, 1]);
    expect(reduce(other, { kind: "select", instrument: "X.SIM", timeframe: "5m" }).trades).toEqual([]);
  });

  it("reads the server's clock", () => {
    expect(after(status({})).skew).toBe(6000);
  });
});

describe("what is said", () => {
  const waiting: Event = { kind: "link", link: { phase: "waiting", since: 0, attempt: 3, retryAt: 9000 } };
  const live: Event = { kind: "link", link: { phase: "live", since: 0, attempt: 0, retryAt: null } };

  it("tells the worst trouble first", () => {
    expect(troubleOf(after(live, status({ health: "degraded", reasons: ["KRAKEN is stale"] })), 0)).toEqual({
      level: "warn",
      title: "Degraded",
      text: "KRAKEN is stale",
    });
    expect(troubleOf(after(status({ health: "degraded" }), waiting), 5000)?.text).toContain(
      "attempt 3, next try in 4.0 s",
    );
    expect(troubleOf(after(live, status({})), 0)).toBeNull();
  });

  it("says why there is no candle", () => {
    expect(whyEmpty(start(), 0).title).toBe("Not connected yet");
    expect(whyEmpty(after(live, { kind: "history", history: "ready" }), 0).title).toBe("Nothing is followed yet");
    expect(whyEmpty(after(live, select, { kind: "history", history: "ready" }), 0).title).toBe("Nothing yet");
  });

  it("says how long warming up takes", () => {
    const row = { instrument: "BTC-USD.SIM", venue: "SIM", warmup: { "1m": { have: 20, needed: 60 } } } as never;
    const state = after(select, status({ instruments: [row] }), { kind: "features", rows: [features(1, { a: null })] });
    expect(whatIsMissing(state)).toEqual({
      title: "Warming up",
      detail: "20 of 60 candles in a row: ready in about 40m.",
      done: 20 / 60,
    });
  });

  it("counts known features where nobody says how long it takes", () => {
    const state = after(select, { kind: "features", rows: [features(1, { a: null, b: 2 })] });
    expect(whatIsMissing(state).detail).toContain("1 of 2 features are known");
  });

  it("knows what is simulated", () => {
    expect(isSimulated(after(select))).toBe(true);
    expect(isSimulated(after({ ...select, instrument: "BTC-USD.KRAKEN" }))).toBe(false);
    expect(isSimulated(after(select, status({ simulated: false })))).toBe(false);
  });
});
