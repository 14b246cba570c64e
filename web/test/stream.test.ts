import { beforeEach, describe, expect, it } from "vitest";
import { backoff, Stream, type Link, type Socket, type StreamMessage } from "../src/stream";
import { FakeSocket, FakeTimers } from "./fakes";

describe("Stream", () => {
  let timers: FakeTimers;
  let sockets: FakeSocket[];
  let links: Link[];
  let messages: StreamMessage[];
  let resets: number;
  let stream: Stream;
  const socket = (): FakeSocket => sockets.at(-1) ?? new FakeSocket();

  beforeEach(() => {
    [timers, sockets, links, messages, resets] = [new FakeTimers(), [], [], [], 0];
    const open = (): Socket => {
      sockets.push(new FakeSocket());
      return socket();
    };
    const listener = {
      link: (link: Link): void => void links.push(link),
      message: (message: StreamMessage): void => void messages.push(message),
      reset: (): void => {
        resets++;
      },
    };
    stream = new Stream(
      open,
      timers,
      listener,
      () => "",
      () => 0.5,
    );
    stream.follow({ instrument: "BTC-USD.SIM", timeframe: "1m" });
    stream.connect();
    socket().onopen?.();
  });

  it("subscribes to the status of all, and to what is looked at", () => {
    expect(socket().sent.map((ask) => [ask["op"], ask["instruments"]])).toEqual([
      ["subscribe", ["*"]],
      ["subscribe", ["BTC-USD.SIM"]],
    ]);
  });

  it("lets the old instrument go before the new one", () => {
    stream.follow({ instrument: "ETH-USD.SIM", timeframe: "5m" });
    expect(
      socket()
        .sent.slice(2)
        .map((ask) => [ask["op"], ask["instruments"], ask["timeframes"]]),
    ).toEqual([
      ["unsubscribe", ["BTC-USD.SIM"], undefined],
      ["subscribe", ["ETH-USD.SIM"], ["5m"]],
    ]);
  });

  it("comes back, resumes where it was, and does not ask again for what it has", () => {
    socket().tell({ op: "subscribed", epoch: "a" });
    socket().tell({ seq: 41, channel: "candles" });
    socket().onclose?.();
    expect(links.at(-1)).toMatchObject({ phase: "waiting", attempt: 1, retryAt: 500 });
    timers.pass(500);
    expect(sockets.length).toBe(2);
    socket().onopen?.();
    expect(socket().sent[1]).toMatchObject({ resume: 41, epoch: "a" });
    socket().tell({ op: "subscribed", epoch: "a" });
    expect(resets).toBe(0);
    expect(links.at(-1)).toMatchObject({ phase: "live", attempt: 0 });
  });

  it("asks for everything anew after a restart, and when it was too slow", () => {
    socket().tell({ op: "subscribed", epoch: "a" });
    socket().tell({ op: "subscribed", epoch: "b" });
    socket().tell({ op: "lagged", dropped: 7 });
    expect(resets).toBe(2);
  });

  it("asks for a sign of life in silence, and gives the line up without one", () => {
    timers.pass(10_000);
    expect(socket().sent.at(-1)).toEqual({ op: "ping" });
    socket().tell({ op: "pong" });
    timers.pass(10_000);
    expect(links.at(-1)?.phase).toBe("live");
    timers.pass(10_000);
    expect(sockets[0]?.closed).toBe(true);
    expect(links.at(-1)?.phase).toBe("waiting");
  });

  it("waits longer each time, up to a limit", () => {
    expect([0, 1, 2, 20].map((attempt) => backoff(attempt, 0.5))).toEqual([500, 1000, 2000, 10_000]);
    expect(backoff(0, 0)).toBeLessThan(backoff(0, 1));
  });
});
