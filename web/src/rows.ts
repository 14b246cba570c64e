/** Rows as the API tells them. */

export interface CandleRow {
  instrument: string;
  timeframe: string;
  open_time: string;
  close_time: string;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
  quote_volume: number | null;
  vwap: number | null;
  trades: number;
  buy_volume: number | null;
  complete: boolean;
  closed?: boolean;
}

export interface FeatureRow {
  instrument: string;
  timeframe: string;
  feature_set: string;
  version: string;
  as_of: string;
  complete: boolean;
  values: Record<string, number | null>;
}

export interface OutcomeRow {
  known_at: string;
  value: number | null;
  price: number | null;
  error: number | null;
  inside: boolean | null;
  hit: boolean | null;
}

export interface PredictionRow {
  id: string;
  instrument: string;
  timeframe: string;
  made_at: string;
  as_of: string;
  horizon: string;
  target_time: string;
  value: number;
  low: number | null;
  high: number | null;
  p_up: number | null;
  close: number;
  model: string;
  model_version: string;
  feature_set: string;
  late: boolean;
  outcome: OutcomeRow | null;
  price: number;
  price_low: number | null;
  price_high: number | null;
}

export interface AnswerRow {
  id: string;
  instrument: string;
  timeframe: string;
  target: string;
  made_at: string;
  as_of: string;
  horizon: string;
  /** The one number of a target without classes. */
  value: number | null;
  /** The likeliest class, of a target that has some. */
  label: string | null;
  probabilities: Record<string, number | null>;
  model: string;
  model_version: string;
}

export interface GapRow {
  instrument: string;
  first_missing: number;
  last_missing: number;
  count: number;
  status: "open" | "healed" | "unhealable";
  seen_at?: string | null;
  /** Times of the trades just before and after it, where they are stored. */
  from_time?: string | null;
  to_time?: string | null;
}

export interface LateRow {
  instrument: string;
  trade_id: number;
  ts_event: string;
  ts_init: string;
  price: number;
  qty: number;
  side: "BUY" | "SELL" | "UNKNOWN";
  reason: string;
}

export interface TradeRow {
  instrument: string;
  trade_id: number;
  ts_event: string;
  ts_init: string;
  price: number;
  qty: number;
  side: "BUY" | "SELL" | "UNKNOWN";
  late: boolean;
}

export interface VenueStatus {
  venue: string;
  feed?: string | null;
  connection?: string | number | null;
  state: string;
  since: string | null;
  reason: string | null;
  instruments?: string[] | number | null;
  last_message: string | null;
  last_trade: string | null;
  skew_ms: number | null;
  messages: number | null;
  trades: number | null;
  malformed: number | null;
  connects: number | null;
  disconnects: number | null;
  healed: number | null;
  unhealable: number | null;
}

export interface InstrumentStatus {
  instrument: string;
  venue: string;
  simulated: boolean;
  timeframes: string[];
  last_trade: string | null;
  price: number | null;
  trades_per_second: number | null;
  pending: number | null;
  gaps: { open: number; healed: number; unhealable: number };
  late: number | null;
  dead_letters: number | null;
  duplicates?: number | null;
  /** Candles in a row by timeframe: how many there are, and how many the feature sets need. */
  warmup?: Record<string, { have: number; needed: number }>;
}

export interface StageLatency {
  p50: number | null;
  p99: number | null;
  count: number;
}

export interface Status {
  simulated: boolean;
  version: string;
  started: string | null;
  now: string;
  venues: VenueStatus[];
  instruments: InstrumentStatus[];
  latency_ms: Record<string, StageLatency>;
  queue: { length: number; limit: number } | null;
  memory_bytes: number | null;
  shed: Record<string, number>;
  /** How many features are watched, and how many of them have drifted; absent while nothing measures it. */
  drift?: { features: number; drifted: number } | null;
  /** How odd a row must be to be flagged: a share of the rows it is compared with. */
  anomaly_threshold?: number | null;
  health: "healthy" | "degraded" | "unhealthy";
  reasons: string[];
}
