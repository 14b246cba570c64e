/** What keeps the state true: it asks the API for the past, and follows the stream for the present. */

import * as api from "./api";
import { Book, type Change } from "./book";
import { History, saidIn } from "./history";
import { Past, type Said, type Span } from "./past";
import { remember, remembered } from "./remembered";
import { firstOf, KEPT, reachOf, saidSince, timeframeOf, withFollowed } from "./state";
import type { Store } from "./store";
import { Stream, type Listener, type Socket, type StreamMessage, type Timers } from "./stream";
import {
  toAnswer,
  toBar,
  toFeatures,
  toLate,
  toPrediction,
  toStatus,
  toTrade,
  type AnswerRow,
  type CandleRow,
  type Features,
  type FeatureRow,
  type GapRow,
  type LateRow,
  type PredictionRow,
  type Status,
  type TradeRow,
} from "./wire";

export interface Canvas {
  draw(change: Change, step: number): void;
  drawRunning(): void;
  features(rows: readonly Features[]): void;
  cleared(): void;
}

export const RECENT = 200;
/** Milliseconds until what could not be had is asked for again, if the link does not say sooner that it can be. */
const RETRY = 5000;
/** Rows of features that are asked for at once. */
export const MOST_FEATURES = 2000;
const NEWEST_ANSWERS = 2000;

function rowsOf<Row>(data: unknown): Row[] {
  if (data === null || data === undefined) return [];
  return Array.isArray(data) ? (data as Row[]) : [data as Row];
}

export class Session implements Listener {
  readonly book = new Book();
  private history: History | null = null;
  private readonly stream: Stream;
  private canvas: Canvas | null = null;
  private loads = 0;
  private asking = false;
  private gapsAsked = 0;
  private retry = 0;
  private readonly past = new Past<Said>(
    (span) => saidIn(this.store.state, span),
    (said) => {
      this.store.dispatch({ kind: "past", said });
    },
  );

  constructor(
    private readonly store: Store,
    open: () => Socket,
    private readonly timers: Timers,
    private readonly askToken: () => void,
  ) {
    this.stream = new Stream(open, timers, this, api.tokenInUse);
  }

  get timeframe(): string {
    return this.store.state.timeframe;
  }

  attach(canvas: Canvas): void {
    this.canvas = canvas;
  }

  start(): void {
    this.stream.connect();
    void this.discover();
  }

  /** Find what there is to show; nothing yet is a state, not an error. */
  async discover(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      const [stored, status] = await Promise.all([api.instruments(), api.get<Partial<Status>>("status")]);
      this.takeStatus(status);
      const rows = withFollowed(stored, this.store.state.status);
      this.store.dispatch({ kind: "instruments", rows });
      const known = rows.map((row) => row.instrument);
      const wanted = this.store.state.instrument ?? remembered("instrument");
      const { state } = this.store;
      const choice = wanted && known.includes(wanted) ? wanted : firstOf(known, state);
      const offered = timeframeOf(state, choice, remembered("timeframe"));
      if (choice && choice !== state.instrument) this.select(choice, offered);
      else if (!choice) this.store.dispatch({ kind: "history", history: "ready" });
    } catch (error) {
      this.fail(error);
    } finally {
      this.asking = false;
    }
  }

  /** Begin with a token: the process asks one of other machines. */
  async enter(token: string): Promise<void> {
    api.useToken(token);
    await api.get("status");
    this.stream.again();
    await this.discover();
  }

  select(instrument: string, timeframe: string): void {
    this.store.dispatch({ kind: "select", instrument, timeframe });
    remember("instrument", instrument);
    remember("timeframe", timeframe);
    this.book.clear();
    this.past.clear();
    this.canvas?.cleared();
    this.history = new History(instrument, timeframe, this.book);
    this.stream.follow({ instrument, timeframe });
    void this.load();
  }

  /** Ask for the newest of everything: at a choice, and when the stream cannot say what was missed. */
  async load(): Promise<void> {
    const history = this.history;
    if (!history) return;
    const turn = ++this.loads;
    try {
      const { last } = this.book;
      const bars = last ? await history.since(last.open_ms) : await history.newest();
      if (turn !== this.loads) return;
      this.merge(bars);
      this.store.dispatch({ kind: "history", history: "ready" });
      const { instrument, timeframe } = history;
      const [predictions, answers] = await Promise.all([
        api.predictions({ instrument, timeframe, limit: 600 }),
        api.answers({ instrument, timeframe, limit: NEWEST_ANSWERS }),
        ...this.sets().map((set) => this.features(set, { limit: RECENT })),
      ]);
      if (turn !== this.loads) return;
      this.store.dispatch({ kind: "predictions", rows: predictions.items.map(toPrediction) });
      this.store.dispatch({ kind: "answers", rows: answers.items.map(toAnswer) });
      await Promise.all([this.gaps(), this.late(this.book.first?.open_ms)]);
    } catch (error) {
      if (turn === this.loads) this.fail(error);
    }
  }

  /** Ask for older candles, as the left edge comes near; false when none came. */
  async older(): Promise<boolean> {
    const history = this.history;
    const bars = await api.quietly(history?.before());
    if (history !== this.history || !bars?.length) return false;
    this.merge(bars);
    return true;
  }

  /** Ask for what models said of the past that is in sight; targets in sight may be of candles before it. */
  async look({ from, to }: Span): Promise<void> {
    const { history } = this;
    const { state } = this.store;
    if (!history) return;
    const seen = { from: from - reachOf(state.predictions), to: to + history.step };
    await this.past.look({ seen, known: saidSince(state), step: history.step });
  }

  /** Late trades from an instant on; those before come as the past is looked at. */
  private async late(since?: number): Promise<void> {
    const { instrument } = this.store.state;
    if (!instrument || since === undefined) return;
    const span = { instrument, start: api.rfc3339(since), limit: KEPT.late };
    const page = await api.quietly(api.get<api.Page<LateRow>>("late", span));
    if (!page || instrument !== this.store.state.instrument) return;
    this.store.dispatch({ kind: "late", rows: page.items.map(toLate), since });
  }

  /** Gaps with their place in time: the stream does not tell that. Of several questions only the last is heeded. */
  private async gaps(): Promise<void> {
    const { instrument } = this.store.state;
    const turn = ++this.gapsAsked;
    const rows = await api.quietly(api.list<GapRow>("gaps", { instrument }));
    if (rows && turn === this.gapsAsked) this.store.dispatch({ kind: "gaps", rows, snapshot: true });
  }

  /** Features of the past, for indicators that are looked at there; they are drawn, and not kept. */
  async indicated(sets: readonly string[], start: number, end: number): Promise<void> {
    const span = { start: api.rfc3339(start), end: api.rfc3339(end), limit: MOST_FEATURES };
    await Promise.all(sets.map((set) => api.quietly(this.features(set, span, false))));
  }

  private async features(
    set: string,
    span: { start?: string; end?: string; limit: number },
    keep = true,
  ): Promise<void> {
    const history = this.history;
    if (!history) return;
    const { instrument, timeframe } = history;
    const { items } = await api.features({ instrument, timeframe, set, ...span });
    if (history !== this.history) return;
    if (keep) this.takeFeatures(items);
    else this.canvas?.features(items.map(toFeatures));
  }

  /** The feature sets of the instrument. */
  private sets(): readonly string[] {
    const { instruments, instrument } = this.store.state;
    return instruments.find((row) => row.instrument === instrument)?.feature_sets ?? [];
  }

  link(link: Parameters<Listener["link"]>[0]): void {
    this.store.dispatch({ kind: "link", link });
    if (link.phase === "live") this.again();
  }

  /** Ask again for what could not be had. */
  private again(): void {
    const { instrument, history } = this.store.state;
    if (!instrument) void this.discover();
    else if (history === "failed") void this.load();
  }

  reset(): void {
    void this.load();
  }

  message(message: StreamMessage): void {
    const { channel, data } = message;
    if (message.op === "lagged") this.store.dispatch({ kind: "lagged", dropped: message.dropped ?? 0 });
    if (channel === "status") this.takeStatus(data as Partial<Status>);
    if (!channel || channel === "status" || message.instrument !== this.store.state.instrument) return;
    this.take(channel, data, message.type === "snapshot");
  }

  private take(channel: string, data: unknown, snapshot: boolean): void {
    if (channel === "candles") this.merge(this.mine<CandleRow>(data).map(toBar));
    else if (channel === "running") this.run(this.mine<CandleRow>(data));
    else if (channel === "features") this.takeFeatures(this.mine<FeatureRow>(data));
    else if (channel === "predictions" || channel === "outcomes") {
      this.store.dispatch({ kind: "predictions", rows: this.mine<PredictionRow>(data).map(toPrediction) });
    } else if (channel === "answers") {
      this.store.dispatch({ kind: "answers", rows: this.mine<AnswerRow>(data).map(toAnswer) });
    } else if (channel === "gaps") void this.gaps();
    else if (channel === "trades") {
      this.store.dispatch({ kind: "trades", rows: rowsOf<TradeRow>(data).map(toTrade), snapshot });
    }
  }

  /** Rows of the timeframe that is shown; others may arrive while one is let go. */
  private mine<Row extends { timeframe: string }>(data: unknown): Row[] {
    return rowsOf<Row>(data).filter((row) => row.timeframe === this.store.state.timeframe);
  }

  private run(rows: readonly CandleRow[]): void {
    const bar = rows.map(toBar).at(-1);
    if (bar && this.history && this.book.run(bar)) this.canvas?.drawRunning();
  }

  private merge(bars: Parameters<Book["merge"]>[0]): void {
    const change = this.book.merge(bars);
    if (change === "none" || !this.history) return;
    this.canvas?.draw(change, this.history.step);
    this.store.dispatch({ kind: "candles", count: this.book.bars.length });
  }

  private takeFeatures(rows: readonly FeatureRow[]): void {
    const known = rows.map(toFeatures);
    this.store.dispatch({ kind: "features", rows: known });
    this.canvas?.features(known);
  }

  private takeStatus(told: Partial<Status>): void {
    const status = toStatus(told);
    this.store.dispatch({ kind: "status", status, now: this.timers.now() });
    const listed = new Set(this.store.state.instruments.map((row) => row.instrument));
    if (!this.asking && status.instruments.some((row) => !listed.has(row.instrument))) void this.discover();
  }

  private fail(error: unknown): void {
    if (!(error instanceof api.Problem)) throw error;
    if (error.status === 404) {
      this.store.dispatch({ kind: "history", history: "ready" });
      return;
    }
    this.store.dispatch({ kind: "history", history: "failed", problem: error.message });
    this.timers.cancel(this.retry);
    if (error.status === 401) {
      this.askToken();
      return;
    }
    this.retry = this.timers.after(RETRY, () => {
      this.again();
    });
  }
}
