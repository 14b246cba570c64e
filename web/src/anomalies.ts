/** Anomalies of the candles that are shown: the newest, kept up as candles close, and those of the past looked at. */

import { Past, type Span } from "./past";

export interface AnomalyQuestion {
  start?: number;
  end?: number;
  /** How many candles to judge, the newest of the span. */
  limit: number;
}

/** Candles that are judged at once: the newest at first, and at most those of two screens of the past. */
export const JUDGED = 5000;

export class Anomalies {
  private newest: readonly number[] = [];
  private ofPast: readonly number[] = [];
  /** Since when all of the newest are here, and up to when, ms. */
  private from = Infinity;
  private to = -Infinity;
  private turn = 0;
  private asked = 0;
  private readonly past: Past<readonly number[]>;

  /**
   * @param ask when candles closed that are anomalies, ms; undefined where that cannot be had for now
   * @param show all that are known
   */
  constructor(
    private readonly ask: (question: AnomalyQuestion) => Promise<readonly number[] | undefined>,
    private readonly show: (closes: readonly number[]) => void,
  ) {
    this.past = new Past(
      ({ from, to }) => ask({ start: from, end: to, limit: JUDGED }),
      (closes) => {
        this.ofPast = closes;
        this.tell();
      },
    );
  }

  /** Forget all: it is of another instrument or timeframe, or not wanted any more. */
  clear(): void {
    this.turn++;
    this.past.clear();
    this.newest = this.ofPast = [];
    this.from = Infinity;
    this.to = -Infinity;
    this.tell();
  }

  /** Ask for what closed since, up to the candle that closed last. */
  async follow(last: number, step: number): Promise<void> {
    const { turn } = this;
    const asked = ++this.asked;
    const limit = Math.min(JUDGED, Math.ceil((last - this.to) / step));
    if (limit < 1) return;
    const closes = await this.ask({ limit });
    if (!closes || turn !== this.turn || asked !== this.asked) return;
    const anew = limit === JUDGED;
    this.newest = anew ? closes : [...this.newest, ...closes];
    if (anew) this.from = last - JUDGED * step;
    this.to = last;
    this.tell();
  }

  /** Ask for those of the past that is in sight. */
  async look(seen: Span, step: number): Promise<void> {
    if (this.from !== Infinity) await this.past.look({ seen, known: this.from, step });
  }

  private tell(): void {
    this.show([...new Set([...this.ofPast, ...this.newest])]);
  }
}
