import { describe, expect, it } from "vitest";
import { Book } from "../src/book";
import { placeOf } from "../src/chart/overlay";
import { bar, MINUTE } from "./made";

const opens = (book: Book): number[] => book.bars.map((one) => one.open_ms / MINUTE);

describe("Book", () => {
  it("keeps candles in order, however they come", () => {
    const book = new Book();
    expect(book.merge([bar(5), bar(3), bar(4)])).toBe("all");
    expect(book.merge([bar(6)])).toBe("tail");
    expect(book.merge([bar(1), bar(2)])).toBe("all");
    expect(opens(book)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("replaces a candle that comes again", () => {
    const book = new Book();
    book.merge([bar(1), bar(2)]);
    book.merge([bar(2, { close: 99 })]);
    expect(opens(book)).toEqual([1, 2]);
    expect(book.last?.close).toBe(99);
  });

  it("lets the running candle go when it closes, and refuses one that is old", () => {
    const book = new Book();
    book.merge([bar(1)]);
    expect(book.run(bar(2, { closed: false }))).toBe(true);
    book.merge([bar(2)]);
    expect(book.running).toBeNull();
    expect(book.run(bar(2, { closed: false }))).toBe(false);
  });

  it("joins a year of pages", () => {
    const book = new Book();
    const year = Array.from({ length: 100_000 }, (_, minute) => bar(minute));
    for (let end = year.length; end > 0; end -= 10_000) book.merge(year.slice(end - 10_000, end));
    expect(book.bars.length).toBe(100_000);
    expect(book.first?.open_ms).toBe(0);
  });
});

describe("placeOf", () => {
  const bars = [bar(10), bar(11), bar(13)];

  it("puts a candle's opening on its left edge and its close on its right", () => {
    expect(placeOf(bars, MINUTE, 10 * MINUTE)).toBe(-0.5);
    expect(placeOf(bars, MINUTE, 11 * MINUTE)).toBe(0.5);
  });

  it("goes on into the future at the same pace", () => {
    expect(placeOf(bars, MINUTE, 18 * MINUTE)).toBe(2 + 5 - 0.5);
  });

  it("holds still where candles are missing, and knows nothing before the first", () => {
    expect(placeOf(bars, MINUTE, 12.5 * MINUTE)).toBe(1.5);
    expect(placeOf(bars, MINUTE, 9 * MINUTE)).toBeNull();
  });

  it("says where the oldest candle stands that was merged", () => {
    const book = new Book();
    book.merge([bar(0), bar(1), bar(2)]);
    expect([book.merge([bar(2), bar(3), bar(4)]), book.changed]).toEqual(["tail", 2]);
    expect([book.merge([bar(5)]), book.changed]).toEqual(["tail", 5]);
  });
});
