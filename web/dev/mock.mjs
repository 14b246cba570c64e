/**
 * A made-up process for work on the page and for its tests: the page, /v1 and the stream, in scenarios.
 *   node dev/mock.mjs [--port 8788] [--scenario live|nothing|warming|degraded] [--candles 3000] [--speed 1] [--still] [--locked]
 * Its time goes on with its beats, however late they come: what it says does not hang on how busy the machine is. With
 * --still it stands still after twenty seconds of them, so that every page over it looks the same.
 * With --locked it asks for its token, "secret", as a process does that other machines may ask.
 * Prints its address. Everything it says is invented; it is never shipped.
 */

import { createReadStream, existsSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";
import * as fixed from "./answers.mjs";
import { answerRows, candleRow, featureRows, iso, predictionRow, random, STEP, tradeRow, walk } from "./market.mjs";

const { values: asked } = parseArgs({
  options: {
    port: { type: "string", default: "8788" },
    scenario: { type: "string", default: "live" },
    candles: { type: "string", default: "3000" },
    speed: { type: "string", default: "1" },
    still: { type: "boolean", default: false },
    locked: { type: "boolean", default: false },
  },
});
const DIST = new URL("../../src/tapeline/web/dist/", import.meta.url).pathname;
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
  ".txt": "text/plain",
};
const NAMES = ["BTC-USD.SIM", "BTC-USDT.SIM2"];
const scenario = asked.scenario;
const speed = Number(asked.speed);
const EPOCH = String(process.pid);
/** How far one beat leads, ms: four of them a candle at most. */
const ADVANCE = Math.min(250 * speed, STEP / 4);
const BEGIN = Date.parse("2026-11-20T14:30:20Z");
let time = BEGIN;
const now = () => time;
const count = { nothing: 0, warming: 23 }[scenario] ?? Number(asked.candles);
const candles = walk({ count, now: BEGIN });
const name = NAMES[0];
const troubled = scenario === "degraded";
const predicts = scenario === "live" || troubled;
let trade_id = 1000;
let seq = 0;

function page(url, rows, key) {
  const limit = Number(url.searchParams.get("limit") ?? 1000);
  const start = Date.parse(url.searchParams.get("start") ?? "") || -Infinity;
  const end = Math.min(
    Number(url.searchParams.get("cursor")) || Infinity,
    Date.parse(url.searchParams.get("end") ?? "") || Infinity,
  );
  const found = rows.filter((row) => key(row) >= start && key(row) < end);
  const items = found.slice(-limit);
  return { items, next: found.length > limit ? String(key(items[0])) : null };
}

function paged(url, make) {
  const { items, next } = page(url, candles, (candle) => candle.open_ms);
  const first = items.length ? candles.indexOf(items[0]) : 0;
  return { items: items.map((_, index) => make(first + index)), next };
}

/** What models of other targets say at the close of a candle; a process in trouble has none of volatility. */
function answersAt(candle) {
  const said = answerRows(candles, candles.indexOf(candle), name);
  return troubled ? said.filter((row) => row.target !== "volatility") : said;
}

/** Answers of a third as many candles as rows are asked for: there are up to three of each. */
function answersPage(url) {
  url.searchParams.set("limit", String(Math.ceil(Number(url.searchParams.get("limit") ?? 1000) / 3)));
  const { items, next } = page(url, candles, (candle) => candle.open_ms);
  return { items: items.flatMap(answersAt), next };
}

function openGaps() {
  const gap = (first, total, status, from = BEGIN - 18e5, to = BEGIN - 17e5) => ({
    instrument: name,
    first_missing: first,
    last_missing: first + total - 1,
    count: total,
    status,
    seen_at: iso(BEGIN - 3e6),
    from_time: iso(from),
    to_time: iso(to),
  });
  return [
    gap(71_203, 12, "healed"),
    gap(80_011, 3, "healed"),
    gap(90_500, 41, "healed"),
    ...(troubled
      ? [gap(95_300, 18, "unhealable", BEGIN - 47.4 * 6e4, BEGIN - 46.6 * 6e4), gap(99_120, 7, "open")]
      : []),
  ];
}

function said(at = now()) {
  const any = count > 0;
  const warming = scenario === "warming" ? { have: candles.length, needed: 60 } : null;
  return fixed.status({
    names: NAMES,
    now: at,
    started: BEGIN - 26e6,
    price: any ? candles.at(-1).close : null,
    lastTrade: any ? at - 600 : null,
    degraded: troubled,
    warming,
  });
}

const ROUTES = [
  [
    /^\/v1\/instruments$/,
    () => ({
      items: count
        ? NAMES.map((instrument) => ({
            instrument,
            venue: instrument.split(".")[1],
            simulated: true,
            holds: "trades",
            first: iso(candles[0].open_ms),
            last: iso(now()),
            timeframes: ["1m", "5m", "1h"],
            feature_sets: ["technical", "market"],
          }))
        : [],
      next: null,
    }),
  ],
  [/^\/v1\/candles$/, (url) => paged(url, (index) => candleRow(candles[index], url.searchParams.get("instrument")))],
  [
    /^\/v1\/features$/,
    (url) =>
      paged(
        url,
        (index) => featureRows(candles, index, url.searchParams.get("instrument"))[url.searchParams.get("set")],
      ),
  ],
  [
    /^\/v1\/predictions$/,
    (url) => (predicts ? paged(url, (index) => predictionRow(candles, index, name)) : { items: [], next: null }),
  ],
  [/^\/v1\/answers$/, (url) => (predicts ? answersPage(url) : { items: [], next: null })],
  [/^\/v1\/predictions\/(\w+)\/explain$/, (_, id) => fixed.explanation(id, null)],
  [/^\/v1\/models$/, () => ({ items: predicts ? fixed.models(name, now()) : [], next: null })],
  [/^\/v1\/models\/(.+)\/(promote|rollback)$/, () => ({ name, version: "77b0d1e6f2", status: "champion" })],
  [/^\/v1\/errors$/, () => ({ items: predicts ? fixed.errors(name, now()) : [], next: null })],
  [/^\/v1\/quality$/, () => ({ items: count ? fixed.quality(NAMES, now()) : [], next: null })],
  [/^\/v1\/gaps$/, () => ({ items: openGaps(), next: null })],
  [/^\/v1\/anomalies$/, () => ({ items: troubled ? fixed.anomalies(candles) : [], next: null })],
  [/^\/v1\/duels$/, () => ({ items: fixed.duels(), next: null })],
  [/^\/v1\/runs$/, () => ({ items: predicts ? fixed.runs(name, now()) : [], next: null })],
  [/^\/v1\/runs\/(\w+)$/, () => fixed.run(name, now())],
  [/^\/v1\/late$/, () => ({ items: troubled ? fixed.late(candles, name) : [], next: null })],
  [/^\/v1\/dead-letters$/, () => ({ items: [], next: null })],
  [
    /^\/v1\/drift$/,
    () => ({
      measured_at: new Date().toISOString(),
      items: ["buy_pressure", "trade_count", "realized_vol_5"].map((feature, index) => ({
        feature,
        model: "direction",
        version: "7d1f00c2",
        psi: 0.24 - index * 0.09,
        ks: 0.11 - index * 0.04,
        missing: 0,
        outside: 0.008 - 0.004 * index,
        level: ["major", "moderate", "none"][index],
      })),
      models: [
        {
          model: "direction",
          version: "7d1f00c2",
          state: "measured",
          reason: "",
          reference_rows: 5000,
          rows: 720,
        },
      ],
    }),
  ],
  [/^\/v1\/status$/, () => said()],
];

function answer(request, response) {
  const url = new URL(request.url, "http://mock");
  response.setHeader("content-security-policy", CSP);
  for (const [pattern, make] of ROUTES) {
    const match = pattern.exec(url.pathname);
    if (!match) continue;
    if ((asked.locked || request.method === "POST") && request.headers.authorization !== "Bearer secret") {
      response.writeHead(401, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ title: "Unauthorized", status: 401, detail: "the token is missing or wrong" }));
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(make(url, match[1])));
    return;
  }
  const file = join(DIST, normalize(url.pathname === "/" ? "/index.html" : url.pathname));
  if (!existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  response.setHeader("content-type", TYPES[extname(file)] ?? "application/octet-stream");
  createReadStream(file).pipe(response);
}

const server = createServer(answer);
const sockets = new WebSocketServer({ server, path: "/v1/stream" });
sockets.on("connection", (socket) => {
  socket.wants = [];
  socket.on("message", (raw) => {
    const ask = JSON.parse(raw);
    socket.trusted ||= !asked.locked || ask.token === "secret";
    if (!socket.trusted) return;
    if (ask.op === "ping") socket.send(JSON.stringify({ op: "pong", id: ask.id }));
    if (ask.op === "unsubscribe") socket.wants = socket.wants.filter((want) => want.channels.includes("status"));
    if (ask.op !== "subscribe") return;
    socket.wants.push(ask);
    socket.send(JSON.stringify({ op: "subscribed", id: ask.id, epoch: EPOCH, seq }));
    if (ask.resume !== undefined && ask.epoch !== EPOCH) socket.send(JSON.stringify({ op: "reset" }));
    snapshot(socket, ask);
  });
});

function wanted(socket, channel, instrument) {
  return socket.wants.some(
    (want) =>
      want.channels.includes(channel) &&
      (!instrument || want.instruments.includes(instrument) || want.instruments.includes("*")),
  );
}

function send(channel, data, instrument = name, only = null, type = "update") {
  seq += 1;
  const text = JSON.stringify({ seq, channel, type, ...(channel === "status" ? {} : { instrument }), data });
  for (const socket of only ? [only] : sockets.clients) if (wanted(socket, channel, instrument)) socket.send(text);
}

function snapshot(socket, ask) {
  if (ask.channels.includes("status")) send("status", said(), name, socket, "snapshot");
  if (!ask.channels.includes("trades") || !count) return;
  const trades = Array.from({ length: 60 }, (_, index) =>
    tradeRow(candles, index + 1, now() - (60 - index) * 420, name),
  );
  send("trades", tape ?? trades, name, socket, "snapshot");
  if (running) send("running", [candleRow(running, name, false)], name, socket, "snapshot");
  send("gaps", openGaps(), name, socket, "snapshot");
}

let running = null;
/** The newest trades where time stands still. */
let tape = null;

/** One beat of the market: a few trades, the running candle, and at its end all that follows from it. */
function beat(at) {
  const start = Math.floor(at / STEP) * STEP;
  if (running && running.open_ms < start) close(running);
  const next = random(seq + trade_id);
  const trades = Array.from({ length: 1 + Math.floor(next() * 4) }, () =>
    tradeRow(candles, trade_id++, at, name, next() > 0.995),
  );
  const prices = trades.map((trade) => trade.price);
  const last = prices.at(-1);
  if (!running || running.open_ms < start)
    running = {
      open_ms: start,
      open: candles.at(-1).close,
      high: last,
      low: last,
      close: last,
      volume: 0,
      buy: 0,
      trades: 0,
      complete: true,
    };
  running.high = Math.max(running.high, running.open, ...prices);
  running.low = Math.min(running.low, running.open, ...prices);
  running.close = last;
  running.trades += trades.length;
  for (const trade of trades) {
    running.volume += trade.qty;
    if (trade.side === "BUY") running.buy += trade.qty;
  }
  tape?.push(...trades);
  send("trades", trades);
  send("running", [candleRow(running, name, false)]);
}

function close(candle) {
  candles.push(candle);
  if (candles.length > 600_000) candles.shift();
  const index = candles.length - 1;
  send("candles", [candleRow(candle, name)]);
  const rows = featureRows(candles, index, name);
  send("features", [rows.technical]);
  send("features", [rows.market]);
  if (!predicts) return;
  send("predictions", [predictionRow(candles, index, name)]);
  send("answers", answersAt(candle));
  if (index >= 5) send("outcomes", [predictionRow(candles, index - 5, name)]);
}

function stepOn() {
  time += ADVANCE;
  beat(time);
}

if (count && !troubled && asked.still) {
  time -= 20_000;
  tape = [];
  for (let beats = 0; beats < 80; beats++) stepOn();
} else if (count && !troubled) setInterval(stepOn, ADVANCE / speed);
setInterval(() => send("status", said()), 1000);
server.listen(Number(asked.port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
