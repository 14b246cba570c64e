/** What the session tells, drawn; and the past of the indicators, kept in step with the candles in sight. */

import type { ChartView } from "../chart/view";
import { lengthOf, stepOf } from "../format";
import { MOST_FEATURES, RECENT, type Canvas, type Session } from "../session";
import type { State } from "../state";
import type { Features } from "../wire";
import { namesBySet } from "./indicators";

export class Drawing implements Canvas {
  private decimalsShown = false;
  /** Since when indicators are drawn, as far as they were asked for; null: what came by itself. */
  private from: number | null = null;
  private asking = false;
  private turn = 0;

  constructor(
    private readonly view: ChartView,
    private readonly session: Session,
  ) {}

  draw(change: Parameters<Canvas["draw"]>[0], step: number): void {
    const fresh = !this.decimalsShown;
    this.view.draw(change, step);
    if (fresh && this.session.book.bars.length) {
      this.decimalsShown = true;
      this.view.home();
    }
  }

  drawRunning(): void {
    this.view.drawRunning();
  }

  features(rows: readonly Features[]): void {
    this.view.indicators.feed(rows, this.length, this.session.book.bars);
  }

  cleared(): void {
    this.decimalsShown = false;
    this.from = null;
    this.turn++;
    this.view.indicators.clear();
    this.view.draw("all", NaN);
  }

  /** Fill newly chosen indicators: with what is here at once, and with the past in sight when it comes. */
  fill(state: State): void {
    for (const rows of Object.values(state.features)) this.features(rows);
    const { last } = this.session.book;
    this.from = last ? last.open_ms + 2 * stepOf(state.timeframe) : null;
    void this.reach(state);
  }

  /** Fill the indicators where somebody looks: from what is drawn of them back to a screen before it. */
  async reach(state: State): Promise<void> {
    const { first, last } = this.session.book;
    const sets = this.setsShown(state);
    if (this.asking || !first || !last || !sets.length) return;
    const step = stepOf(state.timeframe);
    const turn = this.turn;
    this.asking = true;
    for (;;) {
      const from = this.from ?? last.open_ms - RECENT * step;
      const seen = this.view.visible();
      if (!seen || Math.max(first.open_ms, seen.from) >= from) break;
      if (Math.max(seen.to - seen.from, (from - seen.to) / 4) > MOST_FEATURES * step) break; // too many to draw
      const wanted = Math.max(this.session.book.first?.open_ms ?? from, 2 * seen.from - seen.to);
      const start = Math.max(wanted, from - (MOST_FEATURES - 2) * step);
      await this.session.indicated(sets, start, from + step);
      if (this.turn !== turn || start >= from) break;
      this.from = start;
    }
    this.asking = false;
  }

  /** The sets that the indicators shown are of. */
  private setsShown(state: State): string[] {
    const { names } = this.view.indicators;
    const sets = [...namesBySet(state.features)].filter(([, own]) => own.some((name) => names.includes(name)));
    return sets.map(([set]) => set);
  }

  private get length(): number {
    return lengthOf(this.session.timeframe);
  }
}
