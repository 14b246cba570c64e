/** Help: what is drawn, which keys do what, and whose work is shipped here. */

import { h } from "../dom";

const KEYS: readonly [string, string][] = [
  ["← →", "move the chart"],
  ["+ −", "zoom"],
  ["Home", "back to the newest candle"],
  ["i", "choose indicators"],
  ["p", "predictions on the chart"],
  ["u", "UTC or local time"],
  ["t", "dark or light"],
  ["1 2 3 4", "features, models, data quality, venues"],
  ["?", "this help"],
];

const DRAWN: readonly [string, string, string][] = [
  ["open", "Prediction that is open", "its expected price and interval, at its target time"],
  ["inside", "Prediction that came out", "the price ended inside its interval"],
  ["outside", "Prediction that missed", "the price ended outside its interval"],
  ["incomplete", "Incomplete candle", "trades of it are missing, or it began before we did"],
  ["gap", "Gap", "trades are missing: amber while they may still come, red where they never will"],
  ["late", "Late trade", "it came after its candle had closed, and changed nothing"],
  ["band", "Regime, at the upper edge", "the thicker, the more restless"],
  ["odd", "Odd candle", "a model of anomalies calls its row odd"],
];

export function help(): HTMLDialogElement {
  const close = h("button", { type: "submit", class: "chief" }, "Close");
  const shortcuts = h("input", { type: "checkbox", id: "shortcuts", checked: shortcutsOn() });
  shortcuts.addEventListener("change", () => {
    localStorage.setItem("tapeline.shortcuts", shortcuts.checked ? "on" : "off");
  });
  const pairs = (rows: readonly [string, string][]): HTMLElement[] =>
    rows.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)]);
  const drawn = DRAWN.flatMap(([kind, name, text]) => [
    h("dt", {}, h("i", { class: `sample ${kind}`, "aria-hidden": "true" })),
    h("dd", {}, h("strong", {}, name), `: ${text}`),
  ]);
  return h(
    "dialog",
    { "aria-labelledby": "help-title", class: "help" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "help-title" }, "What is drawn"),
      h("dl", {}, ...drawn),
      h("h2", {}, "Keys"),
      h("dl", {}, ...pairs(KEYS)),
      h("label", { class: "check" }, shortcuts, "Single keys act anywhere on the page"),
      credits(),
      h("div", { class: "actions" }, close),
    ),
  );
}

export function shortcutsOn(): boolean {
  return localStorage.getItem("tapeline.shortcuts") !== "off";
}

function credits(): HTMLElement {
  const link = (href: string, text: string): HTMLElement => h("a", { href, rel: "noreferrer", target: "_blank" }, text);
  return h(
    "p",
    { class: "note" },
    "Charts by ",
    link("https://www.tradingview.com/", "TradingView"),
    " Lightweight Charts™. ",
    link("/assets/licences.txt", "Licences"),
    " · ",
    link("/docs", "API"),
  );
}
