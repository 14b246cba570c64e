/** A made-up market for work on the page: the same for the same seed. Never shipped. */

export const STEP = 60_000;

/** Numbers in [0, 1) from a seed (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const round = (value, tick) => Math.round(value / tick) * tick;
const clean = (value) => Number(value.toFixed(10));

/** One-minute candles that end before `now`. */
export function walk({ count, now, seed = 7, price = 64250, tick = 0.1 }) {
  const next = random(seed);
  const normal = () => Math.sqrt(-2 * Math.log(next() || 1e-9)) * Math.cos(2 * Math.PI * next());
  const first = Math.floor(now / STEP) * STEP - count * STEP;
  const candles = [];
  let close = price;
  let heat = 1;
  for (let index = 0; index < count; index++) {
    heat = 0.95 * heat + 0.05 * (0.4 + 1.6 * next() ** 3 * 2);
    const open = close;
    close = clean(round(open * Math.exp(normal() * 0.0004 * heat), tick));
    const reach = Math.abs(normal()) * 0.0003 * heat * open;
    const high = clean(round(Math.max(open, close) + reach * next(), tick));
    const low = clean(round(Math.min(open, close) - reach * next(), tick));
    const volume = clean(round(heat * (1 + 4 * next() ** 2), 0.0001));
    const trades = Math.round(40 + 260 * heat * next());
    const incomplete = index === 0 || index === count - 47 || (index >= count - 31 && index < count - 28);
    const buy = clean(round(volume * (0.3 + 0.4 * next()), 0.0001));
    candles.push({ open_ms: first + index * STEP, open, high, low, close, volume, buy, trades, complete: !incomplete });
  }
  return candles;
}

export const iso = (at) => new Date(at).toISOString();

export function candleRow(candle, name, closed = true) {
  const { open_ms, open, high, low, close, volume, buy, trades, complete } = candle;
  const vwap = (high + low + close) / 3;
  return {
    instrument: name,
    timeframe: "1m",
    open_time: iso(open_ms),
    close_time: iso(open_ms + STEP),
    open,
    high,
    low,
    close,
    volume,
    quote_volume: volume * vwap,
    vwap,
    trades,
    buy_volume: buy,
    complete: complete && closed,
    closed,
  };
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values) {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

function ema(closes, size) {
  return closes.slice(-4 * size).reduce((average, close) => average + (2 / (size + 1)) * (close - average));
}

function rsi(closes, size) {
  const moves = closes.slice(-size - 1).map((close, index, all) => (index ? close - all[index - 1] : 0));
  const up = mean(moves.map((move) => Math.max(0, move)));
  const down = mean(moves.map((move) => Math.max(0, -move)));
  return up + down === 0 ? 50 : (100 * up) / (up + down);
}

/** Features at a candle, null while too few candles stand before it. */
export function featureRows(candles, index, name) {
  const window = candles.slice(Math.max(0, index - 120), index + 1);
  const closes = window.map((candle) => candle.close);
  const ready = (needed, make) => (window.length >= needed ? make() : null);
  const last = (size) => closes.slice(-size);
  const returns = closes.map((close, at) => (at ? Math.log(close / closes[at - 1]) : 0));
  const candle = candles[index];
  const band = (times) => ready(20, () => mean(last(20)) + times * deviation(last(20)));
  const technical = {
    sma_7: ready(7, () => mean(last(7))),
    sma_21: ready(21, () => mean(last(21))),
    sma_60: ready(60, () => mean(last(60))),
    ema_7: ready(7, () => ema(closes, 7)),
    ema_21: ready(21, () => ema(closes, 21)),
    rsi_7: ready(8, () => rsi(closes, 7)),
    rsi_14: ready(15, () => rsi(closes, 14)),
    macd_14_28_14: ready(28, () => ema(closes, 14) - ema(closes, 28)),
    bollinger_20_2_mid: band(0),
    bollinger_20_2_upper: band(2),
    bollinger_20_2_lower: band(-2),
  };
  const market = {
    vwap_15: ready(15, () => mean(last(15))),
    realized_vol_5: ready(6, () => deviation(returns.slice(-5))),
    realized_vol_15: ready(16, () => deviation(returns.slice(-15))),
    price_momentum_1: ready(2, () => returns.at(-1)),
    price_momentum_5: ready(6, () => closes.at(-1) / closes.at(-6) - 1),
    volume_5: ready(5, () => mean(window.slice(-5).map((one) => one.volume))),
    volume_ratio_20: ready(20, () => candle.volume / mean(window.slice(-20).map((one) => one.volume))),
    trade_count: candle.trades,
    avg_trade_size: candle.volume / candle.trades,
    buy_pressure: candle.buy / candle.volume,
  };
  const complete = window.slice(-60).every((one) => one.complete) && window.length >= 60;
  const row = (set, values) => ({
    instrument: name,
    timeframe: "1m",
    feature_set: set,
    version: "5b1f0c2a",
    as_of: iso(candle.open_ms + STEP),
    complete,
    values,
  });
  return { technical: row("technical", technical), market: row("market", market) };
}

/** The prediction made at the close of a candle, with its outcome where that is known. */
export function predictionRow(candles, index, name, horizon = 5) {
  const next = random(index + 11);
  const candle = candles[index];
  const as_of = candle.open_ms + STEP;
  const value = (next() - 0.48) * 0.0006;
  const width = 0.0011 + 0.0006 * next();
  const later = candles[index + horizon];
  const price = (log) => candle.close * Math.exp(log);
  const came = later ? Math.log(later.close / candle.close) : 0;
  const outcome = later && {
    known_at: iso(as_of + horizon * STEP),
    value: came,
    price: later.close,
    error: value - came,
    inside: Math.abs(came - value) <= width,
    hit: came === 0 ? null : value > 0 === came > 0,
    complete: later.complete,
  };
  return {
    id: (index + 0xabc000).toString(16).padStart(32, "0"),
    instrument: name,
    timeframe: "1m",
    made_at: iso(as_of + 12),
    as_of: iso(as_of),
    horizon: `${horizon}m`,
    target_time: iso(as_of + horizon * STEP),
    value,
    low: value - width,
    high: value + width,
    p_up: 0.5 + value * 180,
    close: candle.close,
    price: price(value),
    price_low: price(value - width),
    price_high: price(value + width),
    model: "linear+boosting",
    model_version: "c41d09e2b7+8a02f1d3aa",
    feature_set: "market",
    feature_version: "5b1f0c2a",
    row_hash: "00",
    late: false,
    outcome: outcome ?? null,
  };
}

/** What models of other targets say at the close of a candle. */
export function answerRows(candles, index, name) {
  const window = candles.slice(Math.max(0, index - 20), index + 1);
  const moves = window.slice(1).map((one, at) => Math.log(one.close / window[at].close));
  const spread = Math.sqrt(mean(moves.map((move) => move * move))) || 1e-9;
  const as_of = candles[index].open_ms + STEP;
  const row = (target, model, number, value, probabilities = {}) => ({
    id: (index * 4 + number + 0xdef000).toString(16).padStart(32, "0"),
    instrument: name,
    timeframe: "1m",
    target,
    made_at: iso(as_of + 12),
    as_of: iso(as_of),
    horizon: "5m",
    value,
    label: Object.keys(probabilities).sort((a, b) => probabilities[b] - probabilities[a])[0] ?? null,
    probabilities,
    model,
    model_version: "9d20c5b1e4",
    feature_set: "market",
    feature_version: "5b1f0c2a",
    row_hash: "00",
  });
  const weights = [3.2e-4, 4.4e-4, 6e-4].map((usual) => Math.exp(-8 * Math.log(spread / usual) ** 2) + 0.01);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const [low, normal, high] = weights.map((weight) => weight / total);
  const odd = Math.min(0.998, (Math.abs(moves.at(-1) ?? 0) / spread / 2.7) ** 0.4);
  return [
    row("regime", "hmm", 0, null, { low, normal, high }),
    row("anomaly", "robust_zscore", 1, odd),
    row("volatility", "har", 2, spread * Math.sqrt(5)),
  ];
}

export function tradeRow(candles, id, at, name, late = false) {
  const next = random(id);
  const close = candles.at(-1).close;
  const price = clean(round(close * (1 + (next() - 0.5) * 0.0003), 0.1));
  const qty = clean(round(0.0002 + next() ** 6 * 0.03, 0.0001));
  return {
    instrument: name,
    trade_id: id,
    ts_event: iso(at),
    ts_init: iso(at + 3),
    price,
    qty,
    side: next() > 0.47 ? "BUY" : "SELL",
    late,
  };
}
