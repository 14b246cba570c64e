/** Drift lights: each feature of a champion beside what it was in training, as the process judges it. */

import * as api from "../api";
import { asked } from "../asked";
import { empty, h, table } from "../dom";
import { fixed, percent } from "../format";

type Drifted = "none" | "moderate" | "major";

export interface DriftRow {
  feature: string;
  model: string;
  version: string;
  psi: number | null;
  ks: number | null;
  missing: number | null;
  outside: number | null;
  level: Drifted;
}

interface DriftModel {
  model: string;
  version: string;
  state: "measured" | "waiting";
  reason: string;
  reference_rows: number;
  rows: number;
}

export interface DriftAnswer {
  items: DriftRow[];
  models: DriftModel[];
}

const LIGHT: Record<Drifted, string> = { none: "ok", moderate: "warn", major: "bad" };

export function driftDetail(): HTMLElement {
  return asked(api.get<DriftAnswer>("drift"), shown);
}

function shown({ items, models }: DriftAnswer): HTMLElement {
  const parts = models.map((one) => {
    const title = h("h3", {}, `${one.model} `, h("span", { class: "note" }, one.version.slice(0, 8)));
    if (one.state === "waiting") return h("section", {}, title, empty("Not measured yet", one.reason));
    const rows = items.filter((row) => row.model === one.model && row.version === one.version);
    const basis = `${one.rows} rows of late beside ${one.reference_rows} of the training.`;
    return h("section", {}, title, h("p", { class: "note" }, basis), features(rows));
  });
  return h("div", {}, ...parts);
}

function features(rows: readonly DriftRow[]): HTMLElement {
  const light = (row: DriftRow): HTMLElement =>
    h("span", { class: "state", "data-level": LIGHT[row.level] }, row.feature);
  return table(
    "Drift by feature, what drifted most first",
    ["Feature", "Drift", "PSI#", "KS#", "Missing#", "Outside the training range#"],
    rows.map((row) => [
      light(row),
      row.level,
      fixed(row.psi, 3),
      fixed(row.ks, 3),
      percent(row.missing),
      percent(row.outside),
    ]),
  );
}
