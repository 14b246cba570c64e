import { beforeEach, describe, expect, it, vi } from "vitest";
import { Session } from "../src/session";
import { initial } from "../src/state";
import { Store } from "../src/store";
import { FakeSocket, FakeTimers } from "./fakes";

const NAME = "BTC-USD.SIM";
const CANDLE = {
  timeframe: "1m",
  open_time: "2026-01-01T00:00:00Z",
  close_time: "2026-01-01T00:01:00Z",
  open: 1,
  high: 1,
  low: 1,
  close: 1,
  volume: 1,
};

describe("Session", () => {
  let timers: FakeTimers;
  let socket: FakeSocket;
  let store: Store;
  let session: Session;
  let reachable: boolean;
  let tokens: number;
  let refused: number | null;

  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((next) => setTimeout(next, 0));
  };

  const answer = (path: string): unknown => {
    if (path.startsWith("/v1/instruments")) return { items: [{ instrument: NAME, timeframes: ["1m"] }], next: null };
    if (path.startsWith("/v1/status")) return { health: "healthy", instruments: [] };
    if (path.startsWith("/v1/candles")) return { items: [CANDLE], next: null };
    return { items: [], next: null };
  };

  beforeEach(async () => {
    [timers, reachable, tokens, refused] = [new FakeTimers(), true, 0, null];
    vi.stubGlobal("localStorage", { getItem: () => null, setItem: () => undefined });
    vi.stubGlobal("requestAnimationFrame", () => 0);
    vi.stubGlobal("fetch", (path: string) => {
      if (!reachable) return Promise.reject(new TypeError("fetch failed"));
      if (refused) return Promise.resolve(new Response("{}", { status: refused }));
      return Promise.resolve(new Response(JSON.stringify(answer(path))));
    });
    store = new Store(initial(0, "dark", "utc"));
    const open = (): FakeSocket => (socket = new FakeSocket());
    session = new Session(store, open, timers, () => {
      tokens++;
    });
    session.start();
    socket.onopen?.();
    socket.tell({ op: "subscribed", epoch: "a" });
    await settled();
  });

  it("takes what models of other targets say of the timeframe that is shown", () => {
    const row = (timeframe: string): object => ({
      id: timeframe,
      timeframe,
      target: "regime",
      as_of: CANDLE.close_time,
    });
    socket.tell({ seq: 1, channel: "answers", instrument: NAME, data: [row("1m"), row("5m")] });
    expect(store.state.answers.map((one) => one.id)).toEqual(["1m"]);
  });

  it("shows what is stored", () => {
    expect(store.state).toMatchObject({ instrument: NAME, history: "ready", candles: 1 });
  });

  it("asks for what models said of the past that is looked at, and lets it go with the timeframe", async () => {
    const said = { timeframe: "1m", id: "old", as_of: CANDLE.close_time, outcome: null };
    const newest = { ...said, id: "new", as_of: "2026-01-02T00:00:00Z", target_time: "2026-01-02T00:05:00Z" };
    const late = { instrument: NAME, trade_id: 7, ts_event: CANDLE.open_time, price: 1, qty: 1, side: "BUY" };
    const asked: URL[] = [];
    vi.stubGlobal("fetch", (path: string) => {
      const url = new URL(path, "http://page");
      if (!url.searchParams.has("end")) return Promise.resolve(new Response(JSON.stringify(answer(path))));
      asked.push(url);
      const rows: Record<string, object[]> = { "/v1/predictions": [said], "/v1/late": [late] };
      const items = rows[url.pathname] ?? [];
      return Promise.resolve(new Response(JSON.stringify({ items, next: null })));
    });
    socket.tell({ seq: 1, channel: "predictions", instrument: NAME, data: newest });
    const [from, to] = [Date.parse(CANDLE.open_time), Date.parse(CANDLE.close_time)];
    await session.look({ from, to });
    expect(store.state.past.predictions.map((one) => one.id)).toEqual(["old"]);
    expect(store.state.predictions.map((one) => one.id)).toEqual(["new"]);
    expect(asked.map((url) => url.pathname)).toEqual(["/v1/predictions", "/v1/answers", "/v1/late"]);
    for (const { searchParams: query } of asked) {
      expect(Date.parse(query.get("start") ?? "")).toBeLessThanOrEqual(from - 5 * 60_000);
      expect(Date.parse(query.get("end") ?? "")).toBeGreaterThan(to);
    }
    expect(store.state.past.late).toMatchObject([{ id: 7, late: true }]);
    await session.look({ from, to });
    expect(asked.length).toBe(3);
    session.select(NAME, "5m");
    expect(store.state.past.predictions).toEqual([]);
    await settled();
  });

  it("asks again for what could not be had, as soon as the process is back", async () => {
    reachable = false;
    await session.load();
    expect(store.state).toMatchObject({ history: "failed", problem: "the process does not answer" });
    socket.onclose?.();
    reachable = true;
    timers.pass(2000);
    socket.onopen?.();
    socket.tell({ op: "subscribed", epoch: "a" });
    await settled();
    expect(store.state.history).toBe("ready");
  });

  it("asks again after a while where the line never went", async () => {
    refused = 500;
    await session.load();
    expect(store.state.history).toBe("failed");
    refused = null;
    timers.pass(5000);
    await settled();
    expect(store.state.history).toBe("ready");
  });

  it("asks for the token once, and waits for it", async () => {
    refused = 401;
    await session.load();
    timers.pass(9000);
    await settled();
    expect([store.state.history, tokens]).toEqual(["failed", 1]);
  });

  it("takes an answer that breaks off for none", async () => {
    const broken = (): Response =>
      new Response(
        new ReadableStream({
          pull: (sent) => {
            sent.error(new TypeError("terminated"));
          },
        }),
      );
    vi.stubGlobal("fetch", () => Promise.resolve(broken()));
    await session.load();
    expect(store.state).toMatchObject({ history: "failed", problem: "the process does not answer" });
  });
});
