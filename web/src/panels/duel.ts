/** A champion beside its challengers: the same outcomes, foretold by both. */

import * as api from "../api";
import { asked } from "../asked";
import { empty, h, table } from "../dom";
import { compact, fixed } from "../format";
import { whisker } from "./interval";

interface DuelRow {
  version: string;
  model: string;
  status: string;
  outcomes?: number;
  unit?: string;
  error?: number | null;
  gain?: number | null;
  gain_low?: number | null;
  gain_high?: number | null;
}

export function duel(name: string): HTMLElement {
  const heading = h("h3", {}, `Live, on the same outcomes: ${name}`);
  return h("div", { class: "comparison" }, heading, asked(api.list<DuelRow>("duels", { name }), drawn));
}

function drawn(rows: readonly DuelRow[]): HTMLElement {
  const told = rows.filter((row) => row.status === "champion" || row.status === "challenger");
  const ends = told.flatMap((row) => [Math.abs(row.gain_low ?? 0), Math.abs(row.gain_high ?? 0)]);
  const reach = Math.max(...ends, 0) * 1.1 || 1;
  const axis = { from: -reach, to: reach, nothing: 0 };
  const unit = told[0]?.unit;
  if (unit === undefined) return empty("Nothing to compare", "No version of it answers.");
  const cells = told.map((row) => {
    const gain = row.gain ?? null;
    const label = gain === null ? "not known yet" : `better by ${fixed(gain, 3)} ${unit}`;
    const better =
      row.status === "champion"
        ? h("span", { class: "note" }, "champion")
        : whisker(gain, row.gain_low ?? null, row.gain_high ?? null, axis, label);
    const error = row.error ?? null;
    return [row.status, row.model, compact(row.outcomes), error === null ? "–" : fixed(error, 3), better];
  });
  const heads = ["Status", "Model", "Outcomes#", `Error, ${unit}#`, "Better than the champion"];
  return table("Champion and challengers on the same outcomes", heads, cells);
}
