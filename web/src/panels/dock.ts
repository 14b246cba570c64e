/** The lower panels as tabs: one at a time, made when it is opened, folded away when it is not wanted. */

import type { Context, Panel } from "../context";
import { h, setAttr } from "../dom";
import { features } from "./features";
import { models } from "./models";
import { quality } from "./quality";
import { venues } from "./venues";

const TABS: readonly { id: string; title: string; make: Panel }[] = [
  { id: "features", title: "Features", make: features },
  { id: "models", title: "Models", make: models },
  { id: "quality", title: "Data quality", make: quality },
  { id: "venues", title: "Venues", make: venues },
];

export interface Dock {
  element: HTMLElement;
  open(id: string): void;
}

export function dock(context: Context): Dock {
  const made = new Map<string, HTMLElement>();
  const panel = h("div", { class: "dock-panel", role: "tabpanel", id: "dock-panel", tabindex: -1 });
  const tabs = TABS.map(({ id, title }) =>
    h("button", { role: "tab", id: `tab-${id}`, "aria-controls": "dock-panel" }, title),
  );
  const fold = h(
    "button",
    { class: "quiet icon fold", "aria-label": "Fold the lower panel", "aria-expanded": "true", title: "Fold" },
    "▾",
  );
  const element = h(
    "section",
    { class: "panel dock", "aria-label": "Details" },
    h(
      "div",
      { class: "tabs" },
      h("div", { role: "tablist", "aria-label": "Details" }, ...tabs),
      h("span", { class: "spring" }),
      fold,
    ),
    panel,
  );
  const folded = (on: boolean): void => {
    element.toggleAttribute("data-folded", on);
    setAttr(fold, "aria-expanded", String(!on));
  };
  const open = (id: string): void => {
    const chosen = TABS.find((tab) => tab.id === id) ?? TABS[0];
    if (!chosen) return;
    folded(false);
    for (const tab of tabs) {
      const on = tab.id === `tab-${chosen.id}`;
      setAttr(tab, "aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
    }
    setAttr(panel, "aria-labelledby", `tab-${chosen.id}`);
    // What polls begins anew with each opening; the heatmap only draws, and is kept.
    const body = chosen.id === "features" ? (made.get(chosen.id) ?? chosen.make(context)) : chosen.make(context);
    made.set(chosen.id, body);
    panel.replaceChildren(body);
    localStorage.setItem("tapeline.tab", chosen.id);
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => {
      open(TABS[index]?.id ?? "");
    });
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step === undefined) return;
      const next = (index + step + TABS.length) % TABS.length;
      tabs[next]?.focus();
      open(TABS[next]?.id ?? "");
    });
  });
  fold.addEventListener("click", () => {
    folded(!element.hasAttribute("data-folded"));
  });
  open(localStorage.getItem("tapeline.tab") ?? "features");
  return { element, open };
}
