/** The choice of indicators: every feature by its name, under its set. */

import type { Indicators } from "../chart/indicators";
import type { Context } from "../context";
import { empty, h, setText } from "../dom";
import { detail } from "../popover";
import { when } from "../store";

const KEY = "tapeline.indicators";
/** Shown to somebody who has never chosen, where the feature sets have them. */
const FIRST = ["ema_21", "bollinger_20_2_upper", "bollinger_20_2_lower"];

export function rememberedNames(): string[] {
  const kept = localStorage.getItem(KEY);
  return kept === null ? FIRST : kept.split(" ").filter(Boolean);
}

/** The names of all features that are known, by set. */
export function namesBySet(features: Context["store"]["state"]["features"]): Map<string, string[]> {
  const known = Object.entries(features).map(([set, rows]) => [set, Object.keys(rows.at(-1)?.values ?? {})] as const);
  return new Map(known.filter(([, names]) => names.length).toSorted(([a], [b]) => a.localeCompare(b)));
}

export function indicatorPicker({ store }: Context, indicators: Indicators, changed: () => void): HTMLElement {
  const button = h("button", { class: "quiet", title: "Choose indicators (i)", id: "choose-indicators" }, "Indicators");
  const toggle = (name: string, on: boolean): void => {
    if (on) indicators.add(name);
    else indicators.remove(name);
    localStorage.setItem(KEY, indicators.names.join(" "));
    changed();
    label();
  };
  const label = (): void => {
    setText(button, indicators.names.length ? `Indicators ${indicators.names.length}` : "Indicators");
  };
  const holder = h("div", {}, button);
  detail(button, "Indicators", () => choices(namesBySet(store.state.features), indicators.names, toggle));
  store.onDraw(when(["features"], label));
  return holder;
}

function choices(
  known: Map<string, string[]>,
  on: readonly string[],
  toggle: (name: string, on: boolean) => void,
): HTMLElement {
  if (!known.size) return empty("No feature yet", "Features come with the first closed candle.");
  const find = h("input", { type: "search", placeholder: "Filter by name", "aria-label": "Filter indicators by name" });
  const groups = [...known].map(([set, names]) => group(set, names, on, toggle));
  find.addEventListener("input", () => {
    for (const row of groups.flatMap((node) => [...node.querySelectorAll("label")])) {
      row.hidden = !row.textContent.includes(find.value.trim().toLowerCase());
    }
  });
  return h("div", { class: "choices" }, find, ...groups);
}

function group(
  set: string,
  names: readonly string[],
  on: readonly string[],
  toggle: (name: string, on: boolean) => void,
): HTMLElement {
  const row = (name: string): HTMLElement => {
    const box = h("input", { type: "checkbox", checked: on.includes(name) });
    box.addEventListener("change", () => {
      toggle(name, box.checked);
    });
    return h("label", {}, box, name);
  };
  return h("fieldset", {}, h("legend", {}, set), ...names.map(row));
}
