import { describe, expect, it } from "vitest";
import { Anomalies, JUDGED, type AnomalyQuestion } from "../src/anomalies";
import { MINUTE } from "./made";

/** A market of 20,000 minutes in which every hundredth candle is an anomaly. */
function market(): { anomalies: Anomalies; asked: AnomalyQuestion[]; shown: () => number[]; close: () => number } {
  const asked: AnomalyQuestion[] = [];
  let last = 20_000;
  let shown: readonly number[] = [];
  const ask = (question: AnomalyQuestion): Promise<number[]> => {
    asked.push(question);
    const end = Math.min((question.end ?? Infinity) / MINUTE, last + 1);
    const found = [];
    for (let minute = end - question.limit; minute < end; minute++) {
      if (minute % 100 === 0 && minute * MINUTE >= (question.start ?? 0)) found.push(minute * MINUTE);
    }
    return Promise.resolve(found);
  };
  const anomalies = new Anomalies(ask, (closes) => (shown = closes));
  return { anomalies, asked, shown: () => shown.map((at) => at / MINUTE).sort((a, b) => a - b), close: () => ++last };
}

const follow = ({ anomalies }: ReturnType<typeof market>, last: number): Promise<void> =>
  anomalies.follow(last * MINUTE, MINUTE);
const look = ({ anomalies }: ReturnType<typeof market>, from: number, to: number): Promise<void> =>
  anomalies.look({ from: from * MINUTE, to: to * MINUTE }, MINUTE);

describe("anomalies", () => {
  it("are those of the newest candles, and then of what closed since", async () => {
    const one = market();
    await follow(one, 20_000);
    expect([one.asked.length, one.asked[0]?.limit, one.shown().length]).toEqual([1, JUDGED, 50]);
    for (let at = 0; at < 100; at++) await follow(one, one.close());
    expect(one.asked.slice(1).map(({ limit }) => limit)).toEqual(Array<number>(100).fill(1));
    expect([one.shown().at(0), one.shown().at(-1)]).toEqual([15_100, 20_100]);
    await follow(one, 20_100);
    expect(one.asked.length).toBe(101);
  });

  it("are asked for where the past is looked at, and let go with it", async () => {
    const one = market();
    await look(one, 1000, 1200);
    expect(one.asked).toEqual([]);
    await follow(one, 20_000);
    await look(one, 19_000, 19_200);
    expect(one.asked.length).toBe(1);
    await look(one, 1000, 1200);
    expect(one.shown().slice(0, 5)).toEqual([900, 1000, 1100, 1200, 15_100]);
    await look(one, 8000, 8200);
    expect(one.shown().slice(0, 5)).toEqual([7900, 8000, 8100, 8200, 15_100]);
  });

  it("are each told once where the past and the newest meet", async () => {
    const one = market();
    await follow(one, 20_000);
    await look(one, 14_950, 15_200);
    expect(one.shown()).toEqual([...new Set(one.shown())]);
    expect(one.shown().slice(0, 3)).toEqual([14_900, 15_000, 15_100]);
  });

  it("are forgotten with their instrument, even those still on their way", async () => {
    const one = market();
    const waiting = follow(one, 20_000);
    one.anomalies.clear();
    await waiting;
    expect(one.shown()).toEqual([]);
    await follow(one, 20_000);
    expect(one.shown().length).toBe(50);
  });
});
