/** Models: who answers, who runs in its shadow, how they compared, and the two changes a person may make. */

import * as api from "../api";
import type { Context } from "../context";
import { empty, h, table } from "../dom";
import { compact, instant, percent, short, signed } from "../format";
import { Polled, type Answer } from "../polled";
import { when } from "../store";
import { ms } from "../wire";
import { whisker } from "./interval";
import { tokenDialog } from "./token";

export interface ModelRow {
  name: string;
  version: string;
  instrument: string;
  timeframe: string;
  horizon: string;
  target: string;
  model: string;
  status: string;
  created_at: string;
  promoted_at: string | null;
  feature_set: string;
  record?: Record<string, unknown> | null;
}

interface Compared {
  target: string;
  model: string;
  metric: string;
  value: number | null;
  low: number | null;
  high: number | null;
  baseline: string;
  difference: number | null;
  difference_low: number | null;
  difference_high: number | null;
}

const ORDER = ["champion", "challenger", "candidate", "retired", "rolled_back", "archived"];

export function models(context: Context): HTMLElement {
  const { store } = context;
  const body = h("div", { class: "dock-body" }, h("p", { class: "empty" }, "Asking…"));
  const ask = (): Promise<ModelRow[]> => api.list<ModelRow>("models", { instrument: store.state.instrument });
  const polled = new Polled<ModelRow[]>(
    ask,
    (answer) => {
      show(answer);
    },
    15_000,
  );
  const show = (answer: Answer<ModelRow[]>): void => {
    if (!body.isConnected) polled.stop();
    else body.replaceChildren(...shown(answer, context, () => void polled.once()));
  };
  store.onDraw(
    when(["instrument"], () => {
      if (body.isConnected) polled.start();
    }),
  );
  queueMicrotask(() => {
    polled.start();
  });
  return body;
}

function shown({ value, problem }: Answer<ModelRow[]>, context: Context, again: () => void): HTMLElement[] {
  if (problem) return [empty("Models cannot be told", problem)];
  const rows = (value ?? []).toSorted((a, b) => rank(a) - rank(b) || ms(b.created_at) - ms(a.created_at));
  if (!rows.length) {
    return [empty("No model yet", `Train one: tapeline train ${context.store.state.instrument ?? "INSTRUMENT"}`)];
  }
  const { timeframe } = context.store.state;
  const champions = rows.filter((row) => row.status === "champion");
  const champion = champions.find((row) => row.timeframe === timeframe && row.target === "return") ?? champions[0];
  const run = rows.find((row) => comparedIn(row).length > 0);
  return [
    h("div", { class: "split" }, h("div", {}, list(rows, context, again)), run ? comparison(run) : trained(champion)),
  ];
}

function rank(row: ModelRow): number {
  const place = ORDER.indexOf(row.status);
  return place < 0 ? ORDER.length : place;
}

function list(rows: readonly ModelRow[], context: Context, again: () => void): HTMLElement {
  const heads = ["Status", "Model", "Target", "Ahead", "Version", "Made#", "Change"];
  return table(
    "Models",
    heads,
    rows.map((row) => [
      h(
        "span",
        { class: "state", "data-level": row.status === "champion" ? "ok" : "none" },
        row.status.replace("_", " "),
      ),
      row.model,
      row.target,
      row.horizon,
      h("code", { title: row.version }, row.version.slice(0, 8)),
      instant(ms(row.created_at), "full", context.store.state.zone),
      action(row, again),
    ]),
  );
}

function action(row: ModelRow, again: () => void): HTMLElement | null {
  if (row.status === "archived") return null;
  const back = row.status === "champion";
  const label = back ? "Roll back" : "Promote";
  const path = `models/${encodeURIComponent(row.name)}/${back ? "rollback" : "promote"}`;
  const text = back
    ? `The champion of ${row.name} steps back, and the one before it answers again.`
    : `${row.model} ${row.version.slice(0, 8)} answers for ${row.name} from the next candle on.`;
  const run = async (token: string): Promise<void> => {
    await api.post(path, back ? {} : { version: row.version }, token);
    again();
  };
  const open = (): void => {
    tokenDialog(label, text, run);
  };
  return h(
    "button",
    { class: "small", click: open, "aria-label": `${label} ${row.model} ${row.target} ${row.version.slice(0, 8)}` },
    label,
  );
}

function comparedIn(row: ModelRow): Compared[] {
  const record = row.record ?? {};
  const inner = (record["report"] ?? record["metrics"] ?? record) as Record<string, unknown>;
  const found = Array.isArray(inner) ? inner : inner["models"];
  return Array.isArray(found) ? (found as Compared[]).filter((one) => typeof one.metric === "string") : [];
}

/** How the models of a training run compared out of sample, each with the interval of its difference. */
function comparison(row: ModelRow): HTMLElement {
  const all = comparedIn(row);
  const metric = all.find((one) => one.target === row.target)?.metric;
  const told = all.filter((one) => one.target === row.target && one.metric === metric);
  const reach =
    Math.max(...told.flatMap((one) => [Math.abs(one.difference_low ?? 0), Math.abs(one.difference_high ?? 0)])) * 1.1 ||
    1;
  const axis = { from: -reach, to: reach, nothing: 0 };
  const reason = row.record?.["reason"];
  const rows = told.map((one) => [
    one.model,
    short(one.value),
    one.model === one.baseline
      ? h("span", { class: "note" }, "best baseline")
      : whisker(
          one.difference,
          one.difference_low,
          one.difference_high,
          axis,
          `${one.model} better by ${short(one.difference)}`,
        ),
    one.model === one.baseline ? "" : signed(short(one.difference)),
  ]);
  return h(
    "div",
    { class: "comparison" },
    h("h3", {}, `Training run, ${row.target}, out of sample`),
    typeof reason === "string" ? h("p", { class: "note" }, reason) : null,
    table(
      "Comparison of the models of the run",
      ["Model", `${metric ?? ""}#`, "Better than the best baseline", "by#"],
      rows,
    ),
  );
}

interface Report {
  reason?: string;
  metric?: string;
  test_rows?: number;
  coverage?: number | null;
  coverage_asked?: number | null;
  trading?: {
    text?: string;
    gross?: number | null;
    gross_low?: number | null;
    gross_high?: number | null;
    cost?: number;
  };
}

/** What the training run found about a model: the decision, and what trading on it would have earned. */
function trained(row: ModelRow | undefined): HTMLElement {
  const report = row?.record?.["report"] as Report | undefined;
  if (!row || !report) return empty("No training run is kept", "A model that was trained here keeps how it did.");
  const { trading, coverage, coverage_asked: asked } = report;
  const [low, high] = [trading?.gross_low ?? null, trading?.gross_high ?? null];
  const reach = Math.max(trading?.cost ?? 0, Math.abs(low ?? 0), Math.abs(high ?? 0)) * 1.1 || 1;
  const axis = { from: -reach / 4, to: reach, nothing: trading?.cost ?? 0 };
  return h(
    "div",
    { class: "comparison" },
    h("h3", {}, `Training run of ${row.model}, ${row.target}, ${row.horizon} ahead`),
    h("p", { class: "verdict" }, report.reason ?? ""),
    h(
      "p",
      { class: "note" },
      `${compact(report.test_rows)} rows out of sample, judged by ${report.metric ?? "–"}` +
        (asked ? ` · ${percent(coverage, 0)} ended inside intervals meant for ${percent(asked, 0)}` : ""),
    ),
    trading ? h("h3", {}, "Earned a trade, beside what a trade costs") : null,
    trading ? whisker(trading.gross ?? null, low, high, axis, trading.text ?? "") : null,
    h("p", { class: "note" }, trading?.text ?? ""),
  );
}
