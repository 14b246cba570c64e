/** Drift lights: each feature beside what it was in training. */

import * as api from "../api";
import { asked } from "../asked";
import { empty, h, table } from "../dom";
import { fixed, percent } from "../format";

export interface DriftRow {
  feature?: string;
  name?: string;
  psi: number | null;
  status?: string;
  level?: string;
  outside?: number | null;
}

export interface DriftAnswer {
  items?: DriftRow[];
  features?: DriftRow[];
}

/** By convention: below 0.1 stable, from 0.25 on another distribution. */
const WARN = 0.1;
const BAD = 0.25;

export function driftRows(answer: DriftAnswer): DriftRow[] {
  return [...(answer.items ?? answer.features ?? [])].sort((a, b) => (b.psi ?? -1) - (a.psi ?? -1));
}

function levelOf(psi: number | null): "ok" | "warn" | "bad" | "none" {
  if (psi === null) return "none";
  return psi >= BAD ? "bad" : psi >= WARN ? "warn" : "ok";
}

export function driftDetail(): HTMLElement {
  return asked(api.get<DriftAnswer>("drift"), shown);
}

function shown(answer: DriftAnswer): HTMLElement {
  const rows = driftRows(answer);
  if (!rows.length)
    return empty("Not measured yet", "Drift is measured once a model has a training sample and enough live rows.");
  const light = (row: DriftRow): HTMLElement =>
    h("span", { class: "state", "data-level": levelOf(row.psi) }, row.feature ?? row.name ?? "");
  return table(
    "Drift by feature",
    ["Feature", "PSI#", "Outside the training range#"],
    rows.map((row) => [light(row), fixed(row.psi, 3), percent(row.outside)]),
  );
}
