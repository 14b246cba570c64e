/** The candles of one instrument and timeframe, in order: history before, live at the end. */

import type { Bar } from "./wire";

export type Change = "none" | "tail" | "all";

/** Where `open_ms` stands, or would stand, in bars sorted by it. */
export function lowerBound(bars: readonly Bar[], open_ms: number): number {
  let low = 0;
  let high = bars.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((bars[middle]?.open_ms ?? Infinity) < open_ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class Book {
  bars: Bar[] = [];
  /** The candle that is still open; it is drawn, and never counted as one. */
  running: Bar | null = null;
  /** Where the oldest of the candles stands that were merged last. */
  changed = 0;

  get first(): Bar | undefined {
    return this.bars[0];
  }

  get last(): Bar | undefined {
    return this.bars.at(-1);
  }

  clear(): void {
    this.bars = [];
    this.running = null;
  }

  /** Put closed candles in their places; a candle that is there already is replaced. */
  merge(incoming: readonly Bar[]): Change {
    if (!incoming.length) return "none";
    const sorted = incoming.toSorted((a, b) => a.open_ms - b.open_ms);
    const last = this.last;
    const tail = sorted.length <= 8 && (!last || (sorted[0]?.open_ms ?? 0) >= last.open_ms);
    if (tail) for (const bar of sorted) this.put(bar);
    else this.weave(sorted);
    this.changed = lowerBound(this.bars, sorted[0]?.open_ms ?? Infinity);
    const newest = this.last;
    if (this.running && newest && this.running.open_ms <= newest.open_ms) this.running = null;
    return tail && last ? "tail" : "all";
  }

  /** Keep the candle that is still open; false when it is older than what has closed. */
  run(bar: Bar): boolean {
    if (bar.open_ms <= (this.last?.open_ms ?? -Infinity)) return false;
    this.running = bar;
    return true;
  }

  private put(bar: Bar): void {
    const place = lowerBound(this.bars, bar.open_ms);
    if (this.bars[place]?.open_ms === bar.open_ms) this.bars[place] = bar;
    else this.bars.splice(place, 0, bar);
  }

  private weave(sorted: Bar[]): void {
    const first = this.first;
    if (!first || (sorted.at(-1)?.open_ms ?? Infinity) < first.open_ms) {
      this.bars = sorted.concat(this.bars);
      return;
    }
    const merged = new Map(this.bars.map((bar) => [bar.open_ms, bar]));
    for (const bar of sorted) merged.set(bar.open_ms, bar);
    this.bars = [...merged.values()].sort((a, b) => a.open_ms - b.open_ms);
  }
}
