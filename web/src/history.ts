/** The past, asked for by cursor as it comes into sight: pages grow, so that a year is a few dozen requests. */

import * as api from "./api";
import type { Book } from "./book";
import { stepOf } from "./format";
import type { Said, Span } from "./past";
import type { State } from "./state";
import {
  toAnswer,
  toBar,
  toLate,
  toPrediction,
  type AnswerRow,
  type Bar,
  type LateRow,
  type PredictionRow,
} from "./wire";

const FIRST = 1200;
const LARGEST = 10_000;

export class History {
  private busy = false;
  private cursor: string | null = null;
  private limit = FIRST;

  constructor(
    readonly instrument: string,
    readonly timeframe: string,
    private readonly book: Book,
  ) {}

  get step(): number {
    return stepOf(this.timeframe);
  }

  async newest(): Promise<Bar[]> {
    const { instrument, timeframe } = this;
    const page = await api.candles({ instrument, timeframe, limit: FIRST });
    this.cursor = page.next;
    return page.items.map(toBar);
  }

  /** Candles from an instant on: what was missed while nobody told us. */
  async since(start: number): Promise<Bar[]> {
    const { instrument, timeframe } = this;
    const span = { instrument, timeframe, start: api.rfc3339(start), limit: LARGEST };
    return (await api.candles(span)).items.map(toBar);
  }

  /**
   * Candles before the first one; none while a request is under way or when there are no more. Pages are held back until
   * they are worth the redrawing of everything that is there.
   */
  async before(): Promise<Bar[]> {
    if (this.busy || this.cursor === null) return [];
    this.busy = true;
    let ready: Bar[] = [];
    try {
      do ready = (await this.page()).concat(ready);
      while (this.more() && ready.length < this.book.bars.length / 3);
    } finally {
      this.busy = false;
    }
    return ready;
  }

  private more(): boolean {
    return this.cursor !== null;
  }

  private async page(): Promise<Bar[]> {
    this.limit = Math.min(LARGEST, this.limit * 2);
    const { instrument, timeframe, limit, cursor } = this;
    const page = await api.candles({ instrument, timeframe, limit, cursor });
    this.cursor = page.next;
    return page.items.map(toBar);
  }
}

/** All that models said within a span, and the trades that came late to it; nothing where it cannot be had. */
export async function saidIn(shown: State, { from, to }: Span): Promise<Said | undefined> {
  const { instrument, timeframe } = shown;
  const span = { instrument, start: api.rfc3339(from), end: api.rfc3339(to), limit: LARGEST };
  const [predictions, answers, late] = await Promise.all([
    api.quietly(api.list<PredictionRow>("predictions", { ...span, timeframe })),
    api.quietly(api.list<AnswerRow>("answers", { ...span, timeframe })),
    api.quietly(api.get<api.Page<LateRow>>("late", span)),
  ]);
  if (!predictions || !answers || !late) return undefined;
  return {
    predictions: predictions.map(toPrediction),
    answers: answers.map(toAnswer),
    late: late.items.map(toLate),
  };
}
