/** From rows as the API tells them to what the page keeps: times as milliseconds, nothing else changed. */

import type {
  AnswerRow,
  CandleRow,
  FeatureRow,
  InstrumentStatus,
  LateRow,
  OutcomeRow,
  PredictionRow,
  Status,
  TradeRow,
} from "./rows";

export type * from "./rows";

/** A status as the page needs it: a process that only reads a stored database tells less. */
export function toStatus(told: Partial<Status>): Status {
  const rows = (told.instruments ?? []) as (Partial<InstrumentStatus> & { instrument: string; venue: string })[];
  const nothing = {
    last_trade: null,
    price: null,
    trades_per_second: null,
    pending: null,
    late: null,
    dead_letters: null,
  };
  const instruments = rows.map((row) => {
    const gaps = { open: row.gaps?.open ?? 0, healed: row.gaps?.healed ?? 0, unhealable: row.gaps?.unhealable ?? 0 };
    return { simulated: false, timeframes: [], ...nothing, ...row, gaps };
  });
  return {
    simulated: false,
    version: "",
    started: null,
    now: new Date().toISOString(),
    venues: [],
    latency_ms: {},
    queue: null,
    memory_bytes: null,
    shed: {},
    health: "healthy",
    reasons: [],
    ...told,
    instruments,
  };
}

export interface Bar {
  open_ms: number;
  close_ms: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  buyVolume: number | null;
  vwap: number | null;
  trades: number;
  complete: boolean;
  closed: boolean;
}

export interface Features {
  set: string;
  version: string;
  asOf: number;
  complete: boolean;
  values: Record<string, number | null>;
}

export interface Outcome {
  knownAt: number;
  value: number | null;
  price: number | null;
  error: number | null;
  inside: boolean | null;
  hit: boolean | null;
}

export interface Prediction {
  id: string;
  madeAt: number;
  asOf: number;
  target: number;
  horizon: string;
  value: number;
  low: number | null;
  high: number | null;
  pUp: number | null;
  close: number;
  price: number;
  priceLow: number | null;
  priceHigh: number | null;
  model: string;
  version: string;
  set: string;
  late: boolean;
  outcome: Outcome | null;
}

export interface Answer {
  id: string;
  target: string;
  asOf: number;
  horizon: string;
  value: number | null;
  label: string | null;
  probabilities: Record<string, number | null>;
  model: string;
  version: string;
}

export interface Trade {
  id: number;
  at: number;
  price: number;
  qty: number;
  side: "BUY" | "SELL" | "UNKNOWN";
  late: boolean;
}

/** Milliseconds since the epoch of an RFC 3339 text; NaN where there is none. */
export function ms(text: string | null | undefined): number {
  return text ? Date.parse(text) : NaN;
}

export function toBar(row: CandleRow): Bar {
  return {
    open_ms: ms(row.open_time),
    close_ms: ms(row.close_time),
    open: row.open,
    high: row.high,
    low: row.low,
    close: row.close,
    volume: row.volume,
    buyVolume: row.buy_volume,
    vwap: row.vwap,
    trades: row.trades,
    complete: row.complete,
    closed: row.closed ?? true,
  };
}

export function toFeatures(row: FeatureRow): Features {
  const { feature_set: set, version, complete, values } = row;
  return { set, version, complete, values, asOf: ms(row.as_of) };
}

function toOutcome(row: OutcomeRow | null): Outcome | null {
  return row && { ...row, knownAt: ms(row.known_at) };
}

export function toPrediction(row: PredictionRow): Prediction {
  return {
    id: row.id,
    madeAt: ms(row.made_at),
    asOf: ms(row.as_of),
    target: ms(row.target_time),
    horizon: row.horizon,
    value: row.value,
    low: row.low,
    high: row.high,
    pUp: row.p_up,
    close: row.close,
    price: row.price,
    priceLow: row.price_low,
    priceHigh: row.price_high,
    model: row.model,
    version: row.model_version,
    set: row.feature_set,
    late: row.late,
    outcome: toOutcome(row.outcome),
  };
}

export function toAnswer(row: AnswerRow): Answer {
  const { id, target, horizon, value, label, probabilities, model, model_version: version } = row;
  return { id, target, horizon, value, label, probabilities, model, version, asOf: ms(row.as_of) };
}

export function toTrade(row: TradeRow): Trade {
  const { trade_id: id, price, qty, side, late } = row;
  return { id, at: ms(row.ts_event), price, qty, side, late };
}

export function toLate(row: LateRow): Trade {
  return toTrade({ ...row, late: true });
}
