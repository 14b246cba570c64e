/** Models: who answers, who runs in its shadow, how they compared, and the two changes a person may make. */

import * as api from "../api";
import type { Context } from "../context";
import { empty, h, table } from "../dom";
import { instant } from "../format";
import { Polled, type Answer } from "../polled";
import { when } from "../store";
import { ms } from "../wire";
import { duel } from "./duel";
import { runs } from "./runs";
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

const ORDER = ["champion", "challenger", "candidate", "retired", "rolled_back", "archived"];

export function models(context: Context): HTMLElement {
  const { store } = context;
  const listed = h("div", {}, h("p", { class: "empty" }, "Asking…"));
  const side = h("div", {});
  const body = h("div", { class: "dock-body" }, h("div", { class: "split of-models" }, listed, side));
  const ask = (): Promise<ModelRow[]> => api.list<ModelRow>("models", { instrument: store.state.instrument });
  const show = ({ value, problem }: Answer<ModelRow[]>): void => {
    if (!body.isConnected) polled.stop();
    else if (problem) listed.replaceChildren(empty("Models cannot be told", problem));
    else listed.replaceChildren(...shown(value ?? [], context, () => void polled.once()));
  };
  const polled = new Polled<ModelRow[]>(ask, show, 15_000);
  const start = (): void => {
    if (!body.isConnected) return;
    polled.start();
    side.replaceChildren(runs(context));
  };
  store.onDraw(when(["instrument"], start));
  queueMicrotask(start);
  return body;
}

function shown(told: readonly ModelRow[], context: Context, again: () => void): HTMLElement[] {
  const rows = told.toSorted((a, b) => rank(a) - rank(b) || ms(b.created_at) - ms(a.created_at));
  if (!rows.length) {
    return [
      empty(
        "No model yet",
        `Train one, with the process stopped: tapeline train ${context.store.state.instrument ?? "INSTRUMENT"}`,
      ),
    ];
  }
  const challenged = new Set(rows.filter((row) => row.status === "challenger").map((row) => row.name));
  return [list(rows, context, again), ...[...challenged].map((name) => duel(name))];
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
      `${row.timeframe} → ${row.horizon}`,
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
