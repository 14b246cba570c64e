/** What the model says, how sure it is, why it says so, and when it will be known. */

import type { Context } from "../context";
import { h, setText } from "../dom";
import { basisPoints, countdown, fixed, instant, percent } from "../format";
import { newest, type State } from "../state";
import { when } from "../store";
import type { Prediction } from "../wire";
import { answersPanel } from "./answers";
import { intervalScale } from "./interval";
import { score } from "./score";
import { warmUp } from "./warmup";
import { reasonsPanel } from "./why";

export function prediction(context: Context): HTMLElement {
  const { store, tick } = context;
  const body = h("div", { class: "prediction-body" });
  const why = reasonsPanel(context);
  const left = h("output", { class: "countdown", role: "timer", "aria-label": "Known in" });
  let shown: Prediction | null = null;
  const draw = (state: State): void => {
    const next = newest(state.predictions);
    why.follow(next);
    body.dataset["scored"] = String(state.predictions.filter((one) => one.outcome).length);
    body.dataset["id"] = next?.id ?? "";
    shown = next;
    const known = next ? saying(next, context, left) : [warmUp(context)];
    body.replaceChildren(...known);
    beat();
  };
  const beat = (): void => {
    if (shown)
      setText(left, shown.outcome || shown.target <= context.now() ? "known" : countdown(shown.target - context.now()));
  };
  store.onDraw(when(["predictions", "features", "zone", "instrument", "history"], draw));
  tick(beat);
  return h(
    "section",
    { class: "panel prediction", "aria-label": "Prediction" },
    body,
    answersPanel(context),
    score(context),
    why.element,
  );
}

function saying(one: Prediction, { store, decimals }: Context, left: HTMLElement): HTMLElement[] {
  const { zone } = store.state;
  const places = decimals();
  const sign = one.value > 0 ? "up" : one.value < 0 ? "down" : "";
  return [
    h("div", { class: "panel-head" }, h("h2", {}, `Prediction, ${one.horizon} ahead`), left),
    h(
      "div",
      { class: "said" },
      h("span", { class: `big ${sign}` }, basisPoints(one.value, 2)),
      h("span", { class: "unit" }, "bp"),
      h("span", { class: "target" }, `${fixed(one.price, places)} at ${instant(one.target, "time", zone)}`),
    ),
    intervalScale(one, places),
    probability(one.pUp),
    h(
      "p",
      { class: "model" },
      h("span", {}, one.model),
      h(
        "code",
        { title: one.version },
        one.version
          .split("+")
          .map((part) => part.slice(0, 8))
          .join("+"),
      ),
      one.late ? h("em", {}, "made late") : null,
    ),
  ];
}

function probability(up: number | null): HTMLElement {
  if (up === null) return h("p", { class: "note" }, "No probability of direction: no such model answers.");
  const meter = h(
    "div",
    { class: "odds", role: "img", "aria-label": `Up ${percent(up)}, down ${percent(1 - up)}` },
    h("i", { class: "up" }),
    h("i", { class: "down" }),
  );
  const [rise, fall] = [...meter.children] as HTMLElement[];
  if (rise && fall) {
    rise.style.flexGrow = String(up);
    fall.style.flexGrow = String(1 - up);
  }
  return h(
    "div",
    { class: "direction" },
    h("span", { class: "up" }, `Up ${percent(up)}`),
    meter,
    h("span", { class: "down" }, `${percent(1 - up)} Down`),
  );
}
