/** Why a model said it: what each feature added. */

import * as api from "../api";
import type { Context } from "../context";
import { empty, h } from "../dom";
import { basisPoints, instant, short, signed } from "../format";
import type { Prediction } from "../wire";

interface Contribution {
  column: string;
  value: number | null;
  added: number | null;
}

interface Explained {
  model: string;
  unit: string;
  base: number | null;
  contributions: Contribution[];
}

interface Explanation {
  explanation: { targets: Record<string, Explained> };
}

const REASONS = 6;
/** An explanation folds the tape anew: it is asked for by itself once a minute at most, and oftener on demand. */
const EVERY = 60_000;

export interface Reasons {
  element: HTMLElement;
  follow: (one: Prediction | null) => void;
}

/** Reasons of the newest prediction, or of the one that was explained last: its time is said. */
export function reasonsPanel({ store }: Context): Reasons {
  const element = h("div", { class: "why" });
  let task = "";
  let asked = -Infinity;
  let newest: Prediction | null = null;
  const ask = async (): Promise<void> => {
    const one = newest;
    if (!one) return;
    asked = Date.now();
    const shown = await explained(one);
    const again = h("button", { class: "quiet small", click: () => void ask() }, "explain the newest");
    const told = h("p", { class: "note of" }, `of ${instant(one.asOf, "time", store.state.zone)}`, again);
    if (task === taskOf(one)) element.replaceChildren(...shown, told);
  };
  const follow = (one: Prediction | null): void => {
    const changed = one === null || taskOf(one) !== task;
    newest = one;
    task = one ? taskOf(one) : "";
    if (changed) element.replaceChildren();
    if (one && (changed || Date.now() - asked > EVERY) && !document.hidden) void ask();
  };
  return { element, follow };
}

function taskOf(one: Prediction): string {
  return [one.model, one.version, one.horizon].join();
}

async function explained(one: Prediction): Promise<HTMLElement[]> {
  try {
    return reasons((await api.get<Explanation>(`predictions/${one.id}/explain`)).explanation.targets);
  } catch (error) {
    if (!(error instanceof api.Problem)) throw error;
    return [h("h3", {}, "Why"), empty("Cannot be explained now", error.message)];
  }
}

function reasons(targets: Record<string, Explained>): HTMLElement[] {
  return Object.entries(targets).flatMap(([target, told]) => {
    const counted = told.contributions.filter((part) => part.added !== null && part.added !== 0);
    const title = h(
      "h3",
      {},
      target === "return" ? "Why this return" : `Why this ${target}`,
      h("small", {}, told.unit === "log return" || target === "return" ? "bp added" : told.unit),
    );
    if (!counted.length)
      return [title, h("p", { class: "note" }, `${told.model} looks at no feature: it is a baseline.`)];
    const most = Math.max(...counted.map((part) => Math.abs(part.added ?? 0)));
    const shown = counted.slice(0, REASONS).map((part) => reason(part, most, target === "return"));
    const rest = counted.slice(REASONS).reduce((total, part) => total + (part.added ?? 0), 0);
    return [
      title,
      h("ol", { class: "reasons" }, ...shown),
      counted.length > REASONS
        ? h("p", { class: "note" }, `and ${counted.length - REASONS} more: ${amount(rest, target === "return")}`)
        : h("span", {}),
    ];
  });
}

function amount(added: number, isReturn: boolean): string {
  return isReturn ? basisPoints(added, 2) : signed(short(added));
}

function reason(part: Contribution, most: number, isReturn: boolean): HTMLElement {
  const added = part.added ?? 0;
  const bar = h("i", { class: added < 0 ? "down" : "up" });
  bar.style.width = `${(Math.abs(added) / most) * 50}%`;
  return h(
    "li",
    {},
    h("span", { class: "name", title: `${part.column} = ${short(part.value)}` }, part.column),
    h("span", { class: "diverging", "aria-hidden": "true" }, bar),
    h("span", { class: "number" }, amount(added, isReturn)),
  );
}
