import { describe, expect, it } from "vitest";
import * as format from "../src/format";

describe("numbers", () => {
  it("never show what is unknown as a number", () => {
    for (const value of [null, undefined, NaN, Infinity]) {
      expect(format.fixed(value, 2)).toBe("–");
      expect(format.short(value)).toBe("–");
      expect(format.compact(value)).toBe("–");
    }
    expect(format.percent(null)).toBe("–");
    expect(format.basisPoints(null)).toBe("–");
    expect(format.bytes(null)).toBe("–");
  });

  it("show the decimals of the instrument's tick", () => {
    expect(format.decimalsOf([64250, 64250.5])).toBe(1);
    expect(format.decimalsOf([0.00001234])).toBe(8);
    expect(format.decimalsOf([100])).toBe(0);
    expect(format.decimalsOf([0.1 + 0.2])).toBe(1);
    expect(format.fixed(64250, 1)).toBe("64,250.0");
  });

  it("carry a sign that reads well", () => {
    expect(format.basisPoints(-0.000295, 2)).toBe("−2.95");
    expect(format.signed(format.percent(0.0288, 2))).toBe("+2.88%");
  });

  it("shorten what has no grid", () => {
    expect([0, 66744.2, 3.34, 0.012345, 0.0000412, -1_500_000].map(format.short)).toEqual([
      "0",
      "66,744",
      "3.34",
      "0.0123",
      "4.12e−5",
      "−1.5M",
    ]);
  });
});

describe("times", () => {
  it("are in UTC when asked", () => {
    expect(format.instant(Date.parse("2026-11-20T23:59:58Z"), "time", "utc")).toBe("23:59:58");
    expect(format.instant(NaN, "time", "utc")).toBe("–");
  });

  it("count down to zero and not below", () => {
    expect([61_000, 0, -5000, 3_700_000].map(format.countdown)).toEqual(["01:01", "00:00", "00:00", "1:01:40"]);
  });

  it("tell lengths", () => {
    expect([400, 12_000, 200_000, 7_500_000, 2 * 864e5].map(format.duration)).toEqual([
      "0.4 s",
      "12 s",
      "3m 20s",
      "2h 5m",
      "2d 0h",
    ]);
  });

  it("read timeframes, sliding ones too", () => {
    expect(["100ms", "1m", "1h30m", "5m/1m"].map(format.lengthOf)).toEqual([100, 6e4, 54e5, 3e5]);
    expect(format.stepOf("5m/1m")).toBe(6e4);
  });
});
