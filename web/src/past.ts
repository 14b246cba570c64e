/**
 * What models said of the past that is looked at, and which trades came late to it: asked for as it comes into sight,
 * half a screen on either side with it, and let go when another place is looked at, so that never more is held than two
 * screens of it.
 */

import type { Answer, Prediction, Trade } from "./wire";

/** Instants in [from, to), ms. */
export interface Span {
  from: number;
  to: number;
}

export interface Said {
  predictions: readonly Prediction[];
  answers: readonly Answer[];
  late: readonly Trade[];
}

export const UNSAID: Said = { predictions: [], answers: [], late: [] };
/** Candles in sight beyond which nothing is asked for: too many to be told apart. */
export const MOST_IN_SIGHT = 2000;
const NOWHERE: Span = { from: Infinity, to: -Infinity };

export interface Sight {
  seen: Span;
  /** Since when all is here that models said, ms. */
  known: number;
  step: number;
}

/** The span to ask for; null where what is in sight is held, known, or too much. */
export function missing({ seen, known, step }: Sight, held: Span): Span | null {
  const width = seen.to - seen.from;
  const end = Math.min(seen.to, known);
  if (!(width <= MOST_IN_SIGHT * step) || end <= seen.from) return null;
  if (held.from <= seen.from && end <= held.to) return null;
  return { from: seen.from - width / 2, to: end + width / 2 };
}

/** What is held of the past and what is newest, in order of time; the newest wins where both hold it. */
export function together<Row extends { id: string | number }>(
  past: readonly Row[],
  newest: readonly Row[],
): readonly Row[] {
  if (!past.length) return newest;
  const known = new Set(newest.map((row) => row.id));
  return [...past.filter((row) => !known.has(row.id)), ...newest];
}

export class Past<Found> {
  private held = NOWHERE;
  private sight: Sight | null = null;
  private turn = 0;
  private asking = false;

  constructor(
    private readonly ask: (span: Span) => Promise<Found | undefined>,
    private readonly show: (found: Found) => void,
  ) {}

  /** Forget what is held: it is of another instrument or timeframe. */
  clear(): void {
    this.turn++;
    this.held = NOWHERE;
    this.sight = null;
  }

  /** Ask for what comes into sight: one question at a time, and then for where the look has moved to meanwhile. */
  async look(sight: Sight): Promise<void> {
    this.sight = sight;
    if (this.asking) return;
    this.asking = true;
    try {
      for (let span = this.wanted(); span; span = this.wanted()) {
        const { turn } = this;
        const found = await this.ask(span);
        if (turn !== this.turn) continue;
        if (!found) break;
        this.held = span;
        this.show(found);
      }
    } finally {
      this.asking = false;
    }
  }

  private wanted(): Span | null {
    return this.sight && missing(this.sight, this.held);
  }
}
