import { describe, expect, it } from "vitest";
import { familyOf, joined, onPriceScale, pointsOf } from "../src/chart/indicators";
import { csv } from "../src/export";
import { scores, spread } from "../src/panels/features";
import { hoursOf, longest, shareComplete } from "../src/panels/quality";
import { verdict } from "../src/panels/score";
import { heats } from "../src/panels/tape";
import { middleOf } from "../src/panels/venues";
import { bar, features, MINUTE } from "./made";

describe("the score", () => {
  it("says plainly that there is no edge", () => {
    expect(verdict({ value: 1, low: -1, high: 3 }).text).toBe("No edge found: the interval holds zero.");
    expect(verdict({ value: 1, low: 0, high: 3 }).sign).toBe("");
    expect(verdict({ value: 1, low: 0.1, high: 3 }).sign).toBe("up");
    expect(verdict({ value: -1, low: -3, high: -0.1 }).sign).toBe("down");
    expect(verdict({ value: 1, low: null, high: null }).text).toContain("Too few");
  });
});

describe("features", () => {
  it("are measured in robust deviations, so that one outlier hides nothing", () => {
    const { median, deviation } = spread([1, 2, 3, 4, 1000]);
    expect(median).toBe(3);
    expect(deviation).toBeCloseTo(1.4826);
  });

  it("have no score where too little is known, or nothing moves", () => {
    expect(scores([1, 2, null])).toEqual([null, null, null]);
    expect(scores(Array.from({ length: 30 }, () => 5)).every((one) => one === null)).toBe(true);
  });
});

describe("indicators", () => {
  const rows = [features(1, { ema: 5 }), features(2, { ema: null }), features(3, { ema: 7 })];

  it("stand at the opening of their candle, and are left out where unknown", () => {
    expect(pointsOf(rows, "ema", MINUTE)).toEqual([
      { at: 0, value: 5 },
      { at: 2 * MINUTE, value: 7 },
    ]);
  });

  it("join the past and the present without repeats", () => {
    const point = (at: number, value = 0): { at: number; value: number } => ({ at, value });
    expect(joined([point(2), point(3)], [point(1), point(2, 9)])).toEqual([point(1), point(2, 9), point(3)]);
  });

  it("are drawn over the price when they are of its size", () => {
    const bars = [bar(1, { close: 100 })];
    expect(onPriceScale([{ at: 0, value: 104 }], bars)).toBe(true);
    expect(onPriceScale([{ at: 0, value: 55 }], bars)).toBe(false);
    expect(familyOf("rsi_14")).toBe("rsi");
    expect(familyOf("realized_vol_5")).toBe("realized_vol");
    expect(familyOf("obv")).toBe("obv");
  });
});

describe("quality", () => {
  it("calls an hour incomplete as soon as one candle is", () => {
    expect(hoursOf([bar(0), bar(1, { complete: false }), bar(61)], 0).map((hour) => hour.state)).toEqual([
      "incomplete",
      "complete",
    ]);
    expect(hoursOf([bar(0)], -36e5)[0]).toMatchObject({ day: -1, hour: 23 });
  });

  it("weighs days by their candles", () => {
    expect(
      shareComplete([
        { candles: 10, complete: 10 },
        { candles: 30, complete: 0 },
      ]),
    ).toBe(0.25);
    expect(shareComplete([])).toBeNull();
    expect(longest(["1m", "5m/1m", "15m", "4h"])).toBe("15m");
  });
});

describe("the small ones", () => {
  it("heat sizes by how many are smaller", () => {
    const heat = heats(Array.from({ length: 100 }, (_, index) => index));
    expect([10, 60, 80, 95, 99].map(heat)).toEqual([0, 1, 2, 3, 4]);
    expect(heats([])(5)).toBe(0);
  });

  it("measure venues from the middle", () => {
    expect(middleOf([3, 1, 2])).toBe(2);
    expect(middleOf([1, 3])).toBe(2);
  });

  it("mark every exported row as simulated", () => {
    const text = csv([bar(0), bar(1)], { instrument: "A.SIM", timeframe: "1m", simulated: true });
    const [head, ...rows] = text.trim().split("\n");
    expect(head?.endsWith("complete,simulated")).toBe(true);
    expect(rows).toEqual(rows.filter((row) => row.endsWith(",true,true")));
    expect(rows.length).toBe(2);
  });
});
