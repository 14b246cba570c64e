/** What the made-up process answers that does not move: models, scores, coverage, health. */

import { iso, tradeRow } from "./market.mjs";

export function models(name, now) {
  const compared = (target, metric, rows) =>
    rows.map(([model, value, difference, width, baseline]) => ({
      target,
      model,
      metric,
      value,
      low: value * 0.97,
      high: value * 1.03,
      baseline: "last_price",
      difference,
      difference_low: baseline ? null : difference - width,
      difference_high: baseline ? null : difference + width,
    }));
  const record = {
    reason: "no edge found: the interval of the best candidate holds 0",
    promoted: false,
    models: [
      ...compared("return", "mse", [
        ["last_price", 4.1e-7, 0, 0, true],
        ["mean_reversion", 4.3e-7, -2.1e-8, 1.2e-8],
        ["linear", 4.08e-7, 1.6e-9, 4.4e-9],
        ["boosting", 4.13e-7, -3.3e-9, 5.2e-9],
      ]),
      ...compared("direction", "log_loss", [
        ["majority", 0.693, 0, 0, true],
        ["boosting", 0.691, 0.002, 0.0019],
      ]),
    ],
  };
  const row = (model, target, status, version, ago) => ({
    name: `${name}_1m_5m${target === "return" ? "" : "_direction"}`,
    version,
    instrument: name,
    timeframe: "1m",
    horizon: "5m",
    target,
    model,
    status,
    created_at: iso(now - ago * 36e5),
    promoted_at: status === "champion" ? iso(now - ago * 36e5) : null,
    feature_set: "market",
    feature_version: "5b1f0c2a",
    record,
  });
  return [
    row("linear", "return", "champion", "c41d09e2b7", 2),
    row("forest", "return", "challenger", "e07c55a910", 2),
    row("boosting", "return", "candidate", "77b0d1e6f2", 2),
    row("boosting", "direction", "champion", "8a02f1d3aa", 2),
    row("last_price", "return", "retired", "12f98c0e1d", 26),
  ];
}

export function duels() {
  return [
    { version: "c41d09e2b7", model: "linear", status: "champion", outcomes: 118, unit: "bp", error: 5.12 },
    {
      version: "e07c55a910",
      model: "forest",
      status: "challenger",
      outcomes: 118,
      unit: "bp",
      error: 5.08,
      gain: 0.04,
      gain_low: -0.11,
      gain_high: 0.19,
    },
  ];
}

/** Trades that came after their candle had closed: of the last twenty candles two. */
export function late(candles, name) {
  const of = (back, id) => tradeRow(candles.slice(0, -back), id, candles.at(-back).open_ms + 21e3, name, true);
  return [of(20, 52), of(9, 77)];
}

export function anomalies(candles) {
  return [64, 38, 37].map((back) => ({ close_time: iso(candles.at(-back).open_ms + 6e4), kind: "volume" }));
}

export function runs(instrument, now) {
  return [
    {
      run: "3f0c5d9e12ab",
      instrument,
      timeframe: "1m",
      horizon: "5m",
      made_at: iso(now - 72e5),
      rows: 9_412,
      target: "return",
      champion: "last_price",
      promoted: false,
      reason: "no edge found: linear is 0.410 % better in mse than last_price [-0.230 %, +1.020 %]",
    },
  ];
}

export function run(instrument, now) {
  const [row] = runs(instrument, now);
  const model = (name, value, difference, half) => ({
    target: "return",
    model: name,
    metric: "mse",
    value,
    baseline: "last_price",
    difference,
    difference_low: difference - half,
    difference_high: difference + half,
  });
  const found = {
    reason: row.reason,
    metric: "mse",
    test_rows: 5_647,
    coverage: 0.79,
    coverage_asked: 0.8,
    gate: [
      { name: "edge", passed: false, text: "linear is 0.410 % better in mse than last_price [-0.230 %, +1.020 %]" },
      { name: "coverage", passed: true, text: "79.0% of outcomes [77.1%, 80.8%] were inside the 80% intervals" },
      { name: "leaks", passed: true, text: "holds" },
    ],
    trading: { text: "trading linear would have earned 0.41 bp a trade before costs; a round trip costs 21.00 bp" },
  };
  const models = [
    model("last_price", 7.69e-7, 0, 0),
    model("linear", 7.66e-7, 3.1e-9, 4.8e-9),
    model("momentum", 7.91e-7, -2.2e-8, 1.1e-8),
  ];
  return { ...row, targets: { return: found }, models, files: ["report.json"] };
}

export function errors(name, now) {
  return [
    {
      instrument: name,
      timeframe: "1m",
      horizon: "5m",
      model: "linear+boosting",
      model_version: "c41d09e2b7+8a02f1d3aa",
      predictions: 412,
      excluded: 9,
      first: iso(now - 7 * 36e5),
      last: iso(now - 6e4),
      error: { value: 5.12e-4, low: 4.8e-4, high: 5.5e-4 },
      baseline: { value: 5.16e-4, low: 4.8e-4, high: 5.5e-4 },
      gain: { value: 4e-6, low: -6e-6, high: 1.4e-5 },
      hit_rate: { value: 0.523, low: 0.472, high: 0.574 },
      inside: 0.81,
      edge: false,
      verdict: "no edge found",
    },
  ];
}

export function explanation(id, prediction) {
  const parts = [
    ["price_momentum_5", 0.0004, 0.00009],
    ["buy_pressure", 0.61, 0.00006],
    ["realized_vol_15", 0.0004, -0.00004],
    ["volume_ratio_20", 1.7, 0.00002],
    ["avg_trade_size", 0.012, -0.000012],
    ["price_momentum_1", -0.0001, 0.000008],
    ["trade_count", 183, 0.000003],
  ];
  const contributions = (scale) => parts.map(([column, value, added]) => ({ column, value, added: added * scale }));
  return {
    prediction,
    matches: true,
    differences: [],
    candle: {},
    features: {},
    explanation: {
      task: id,
      horizon: "5m",
      row_hash: "00",
      targets: {
        return: {
          model: "linear",
          version: "c41d09e2b7",
          prediction: 0.0001,
          unit: "log return",
          base: 0,
          contributions: contributions(1),
        },
      },
    },
  };
}

export function quality(names, now) {
  const day = (back) => ({
    day: iso(now - back * 864e5).slice(0, 10),
    candles: 1440,
    complete: back % 9 === 4 ? 1431 : 1440,
    quiet: 3,
    trades: 201_334,
  });
  return names.map((instrument, index) => ({
    instrument,
    timeframe: "1m",
    source: "trades",
    completeness: index ? "gaps" : "proven by ids",
    open_gaps: index,
    missing: index * 12,
    late: 4,
    dead_letters: 0,
    duplicates: 318,
    days: Array.from({ length: 21 }, (_, back) => day(20 - back)),
  }));
}

export function status({ names, now, started, price, lastTrade, degraded, warming, rate = 14.2 }) {
  const venue = (name, state, reason) => ({
    venue: name,
    feed: "trades",
    connection: 1,
    state,
    since: iso(started),
    reason,
    instruments: names,
    refused: [],
    last_message: iso(now - 400),
    last_trade: iso(now - 800),
    skew_ms: 12,
    messages: 91_233,
    trades: 80_110,
    malformed: 0,
    connects: degraded ? 4 : 1,
    disconnects: degraded ? 3 : 0,
    healed: 3,
    unhealable: 0,
  });
  return {
    simulated: true,
    version: "0.2.0",
    started: iso(started),
    now: iso(now),
    venues: [venue("SIM", degraded ? "reconnecting" : "live", degraded ? "connection refused" : null)],
    instruments: names.map((instrument, index) => ({
      instrument,
      venue: instrument.split(".")[1],
      simulated: true,
      timeframes: ["1m", "5m", "1h"],
      last_trade: lastTrade && iso(lastTrade),
      price: price && Number((price * (1 + index * 0.00021)).toFixed(1)),
      trades_per_second: degraded ? 0 : rate / (index + 1),
      pending: 0,
      gaps: { open: degraded ? 1 : 0, healed: 3, unhealable: degraded ? 1 : 0 },
      late: 4,
      dead_letters: 0,
      ...(warming ? { warmup: { "1m": warming } } : {}),
    })),
    latency_ms: {
      decoded: { p50: 0.08, p99: 0.21, count: 80_110 },
      queued: { p50: 0.3, p99: 1.9, count: 80_110 },
      committed: { p50: 3.9, p99: 7.4, count: 20_133 },
      total: { p50: 4.4, p99: 9.1, count: 80_110 },
    },
    queue: { length: 0, limit: 1024 },
    drift: { features: 3, drifted: 1 },
    anomaly_threshold: 0.99,
    memory_bytes: 312e6,
    shed: { trades: 0 },
    health: degraded ? "degraded" : "healthy",
    reasons: degraded
      ? ["SIM is reconnecting: connection refused; attempt 4", "1 gap of BTC-USD.SIM is open since 14:28:02"]
      : [],
  };
}
