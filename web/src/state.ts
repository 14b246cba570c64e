/** What the page knows, and how each event changes it. Pure: no DOM, no clock, no network. */

import type { InstrumentRow } from "./api";
import type { Zone } from "./format";
import { UNSAID, type Said } from "./past";
import type { Link } from "./stream";
import type { Answer, Features, GapRow, Prediction, Status, Trade } from "./wire";

export type Theme = "dark" | "light";

export interface State {
  link: Link;
  instrument: string | null;
  timeframe: string;
  instruments: readonly InstrumentRow[];
  history: "loading" | "ready" | "failed";
  problem: string | null;
  status: Status | null;
  /** The server's clock less ours, ms. */
  skew: number;
  candles: number;
  features: Readonly<Record<string, readonly Features[]>>;
  /** By target time. */
  predictions: readonly Prediction[];
  /** What models of other targets said, by time. */
  answers: readonly Answer[];
  /** What models said of the past that is looked at. */
  past: Said;
  gaps: readonly GapRow[];
  /** The newest first. */
  trades: readonly Trade[];
  late: readonly Trade[];
  /** Since when all late trades are here, ms. */
  lateSince: number;
  lagged: number;
  zone: Zone;
  theme: Theme;
}

export type Event =
  | { kind: "link"; link: Link }
  | { kind: "instruments"; rows: readonly InstrumentRow[] }
  | { kind: "select"; instrument: string; timeframe: string }
  | { kind: "history"; history: State["history"]; problem?: string }
  | { kind: "status"; status: Status; now: number }
  | { kind: "candles"; count: number }
  | { kind: "features"; rows: readonly Features[] }
  | { kind: "predictions"; rows: readonly Prediction[] }
  | { kind: "answers"; rows: readonly Answer[] }
  | { kind: "past"; said: Said }
  | { kind: "outcomes"; rows: readonly Pick<Prediction, "id" | "outcome">[] }
  | { kind: "gaps"; rows: readonly GapRow[]; snapshot: boolean }
  | { kind: "trades"; rows: readonly Trade[]; snapshot: boolean }
  | { kind: "late"; rows: readonly Trade[]; since: number }
  | { kind: "lagged"; dropped: number }
  | { kind: "zone"; zone: Zone }
  | { kind: "theme"; theme: Theme };

export const KEPT = { features: 240, predictions: 1500, answers: 6000, trades: 200, late: 2000, gaps: 500 } as const;

export function initial(now: number, theme: Theme, zone: Zone): State {
  return {
    link: { phase: "connecting", since: now, attempt: 0, retryAt: null },
    instrument: null,
    timeframe: "1m",
    instruments: [],
    history: "loading",
    problem: null,
    status: null,
    skew: 0,
    candles: 0,
    features: {},
    predictions: [],
    answers: [],
    past: UNSAID,
    gaps: [],
    trades: [],
    late: [],
    lateSince: -Infinity,
    lagged: 0,
    zone,
    theme,
  };
}

export function reduce(state: State, event: Event): State {
  switch (event.kind) {
    case "link":
      return { ...state, link: event.link };
    case "instruments":
      return { ...state, instruments: event.rows };
    case "select":
      return { ...selected(state, event.instrument), timeframe: event.timeframe };
    case "history":
      return { ...state, history: event.history, problem: event.problem ?? null };
    case "status":
      return { ...state, status: event.status, skew: Date.parse(event.status.now) - event.now };
    case "candles":
      return { ...state, candles: event.count };
    case "features":
      return { ...state, features: withFeatures(state.features, event.rows) };
    case "predictions":
      return { ...state, predictions: withPredictions(state.predictions, event.rows) };
    case "answers":
      return { ...state, answers: withAnswers(state.answers, event.rows) };
    case "past":
      return { ...state, past: event.said };
    case "outcomes":
      return { ...state, predictions: withOutcomes(state.predictions, event.rows) };
    case "gaps":
      return { ...state, gaps: withGaps(event.snapshot ? [] : state.gaps, event.rows) };
    case "trades":
      return withTrades(state, event.rows, event.snapshot);
    case "late":
      return { ...state, ...withLate(state.late, event.rows, event.since) };
    case "lagged":
      return { ...state, lagged: state.lagged + event.dropped };
    case "zone":
      return { ...state, zone: event.zone };
    case "theme":
      return { ...state, theme: event.theme };
  }
}

/** What belongs to one instrument and timeframe is let go with it; trades and gaps stay where only the timeframe changes. */
function selected(state: State, instrument: string): State {
  const said = { features: {}, predictions: [], answers: [], past: UNSAID };
  const fresh = { ...said, candles: 0, history: "loading" as const, problem: null };
  const same = instrument === state.instrument;
  const others = { trades: [], late: [], lateSince: -Infinity, gaps: [] };
  return { ...state, ...fresh, instrument, ...(same ? {} : others) };
}

function withFeatures(known: State["features"], rows: readonly Features[]): State["features"] {
  const changed: Record<string, readonly Features[]> = { ...known };
  for (const set of new Set(rows.map((row) => row.set))) {
    const byTime = new Map((known[set] ?? []).map((row) => [row.asOf, row]));
    for (const row of rows) if (row.set === set) byTime.set(row.asOf, row);
    changed[set] = [...byTime.values()].sort((a, b) => a.asOf - b.asOf).slice(-KEPT.features);
  }
  return changed;
}

function withPredictions(known: readonly Prediction[], rows: readonly Prediction[]): readonly Prediction[] {
  const byId = new Map(known.map((one) => [one.id, one]));
  for (const row of rows) byId.set(row.id, row.outcome ? row : { ...row, outcome: byId.get(row.id)?.outcome ?? null });
  return [...byId.values()].sort((a, b) => a.target - b.target).slice(-KEPT.predictions);
}

function withAnswers(known: readonly Answer[], rows: readonly Answer[]): readonly Answer[] {
  const byId = new Map([...known, ...rows].map((one) => [one.id, one]));
  return [...byId.values()].sort((a, b) => a.asOf - b.asOf).slice(-KEPT.answers);
}

function withOutcomes(
  known: readonly Prediction[],
  rows: readonly Pick<Prediction, "id" | "outcome">[],
): readonly Prediction[] {
  const came = new Map(rows.map((row) => [row.id, row.outcome]));
  return known.map((one) => (came.has(one.id) ? { ...one, outcome: came.get(one.id) ?? null } : one));
}

function withGaps(known: readonly GapRow[], rows: readonly GapRow[]): readonly GapRow[] {
  const byStart = new Map(known.map((gap) => [`${gap.instrument} ${gap.first_missing}`, gap]));
  for (const gap of rows) byStart.set(`${gap.instrument} ${gap.first_missing}`, gap);
  return [...byStart.values()].slice(-KEPT.gaps);
}

/** Newest first by their own time: healed trades come late, and belong where they happened. */
function withTrades(state: State, rows: readonly Trade[], snapshot: boolean): State {
  const known = snapshot ? [] : state.trades;
  const seen = new Set(known.map((trade) => trade.id));
  const fresh = rows.filter((trade) => !seen.has(trade.id));
  const trades = [...fresh, ...known].sort((a, b) => b.at - a.at || b.id - a.id).slice(0, KEPT.trades);
  const late = fresh.filter((trade) => trade.late);
  return { ...state, trades, ...(late.length ? withLate(state.late, late, state.lateSince) : {}) };
}

/** Newest first; where the oldest are let go, all are here only since those that are kept. */
function withLate(known: readonly Trade[], rows: readonly Trade[], since: number): Pick<State, "late" | "lateSince"> {
  const byId = new Map([...known, ...rows].map((trade) => [trade.id, trade]));
  const late = [...byId.values()].sort((a, b) => b.at - a.at).slice(0, KEPT.late);
  const oldest = late.length < KEPT.late ? -Infinity : (late.at(-1)?.at ?? -Infinity);
  return { late, lateSince: Math.max(since, oldest) };
}

/** The prediction that looks from the newest candle. */
export function newest(predictions: readonly Prediction[]): Prediction | null {
  return predictions.reduce<Prediction | null>((best, one) => (!best || one.asOf >= best.asOf ? one : best), null);
}

/** Since when all is here that models said and that came late, ms: what is kept of it begins there. */
export function saidSince({ predictions, answers, lateSince }: State): number {
  return Math.max(predictions[0]?.target ?? -Infinity, answers[0]?.asOf ?? -Infinity, lateSince);
}

/** The longest way from a prediction to its target, ms. */
export function reachOf(predictions: readonly Prediction[]): number {
  return predictions.reduce((most, one) => Math.max(most, one.target - one.asOf), 0);
}

/** Whether what is shown of this instrument is simulated. */
export function isSimulated(state: State): boolean {
  const mine = state.status?.instruments.find((row) => row.instrument === state.instrument);
  const listed = state.instruments.find((row) => row.instrument === state.instrument);
  return mine?.simulated ?? listed?.simulated ?? state.status?.simulated ?? state.instrument?.endsWith(".SIM") ?? false;
}

/** What is stored, and what is followed without anything stored yet. */
export function withFollowed(stored: readonly InstrumentRow[], status: Status | null): InstrumentRow[] {
  const known = new Set(stored.map((row) => row.instrument));
  return [...stored, ...(status?.instruments ?? []).filter((row) => !known.has(row.instrument))];
}

/** The instrument to begin with: the first that is followed, or else the first that is stored. */
export function firstOf(known: readonly string[], { status }: State): string | null {
  const followed = status?.instruments.map((row) => row.instrument) ?? [];
  return followed.find((name) => known.includes(name)) ?? known[0] ?? null;
}

/** The timeframe to begin with: the one that is wanted where it is offered, or else the first that is. */
export function timeframeOf({ instruments }: State, instrument: string | null, wanted: string | null): string {
  const offered = instruments.find((row) => row.instrument === instrument)?.timeframes ?? [];
  return wanted && offered.includes(wanted) ? wanted : (offered[0] ?? "1m");
}
