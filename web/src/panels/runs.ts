/** Training runs: what each found against the baselines, how the gate decided, and its picture. */

import * as api from "../api";
import { asked } from "../asked";
import type { Context } from "../context";
import { empty, h, table } from "../dom";
import { compact, instant, percent, short, signed } from "../format";
import { ms } from "../wire";
import { whisker } from "./interval";

interface RunRow {
  run: string;
  timeframe: string;
  horizon: string;
  made_at: string;
  champion: string;
  promoted: boolean;
}

interface Score {
  target: string;
  model: string;
  metric: string;
  value: number | null;
  baseline: string;
  difference: number | null;
  difference_low: number | null;
  difference_high: number | null;
}

interface Found {
  reason: string;
  metric: string;
  test_rows: number;
  coverage: number | null;
  coverage_asked: number | null;
  gate: { name: string; passed: boolean; text: string }[];
  trading: { text: string };
}

interface Run extends RunRow {
  targets: Record<string, Found>;
  models: Score[];
  files: string[];
}

export function runs({ store }: Context): HTMLElement {
  const { instrument, zone } = store.state;
  const answer = api.get<api.Page<RunRow>>("runs", { instrument, limit: 50 });
  return asked(answer, ({ items }) => {
    if (!items.length) return empty("No training run is kept", "Each one stays in its folder, and is shown here.");
    const body = h("div", {});
    const name = (row: RunRow): string =>
      `${instant(ms(row.made_at), "full", zone)} · ${row.timeframe} candles, ${row.horizon} ahead · ` +
      (row.promoted ? `${row.champion} promoted` : "no edge found");
    const options = items.map((row) => h("option", { value: row.run }, name(row)));
    const choice = h("select", { "aria-label": "Training run" }, ...options);
    const show = (): void => {
      body.replaceChildren(asked(api.get<Run>(`runs/${choice.value}`), drawn));
    };
    choice.addEventListener("change", show);
    show();
    return h(
      "div",
      { class: "comparison" },
      h("div", { class: "run-choice" }, h("h3", {}, "Training run"), choice),
      body,
    );
  });
}

function drawn(run: Run): HTMLElement {
  const parts = Object.entries(run.targets).flatMap(([target, found]) => decision(run, target, found));
  return h("div", {}, ...parts, picture(run));
}

function decision(run: Run, target: string, found: Found): HTMLElement[] {
  const held = found.coverage_asked
    ? ` · ${percent(found.coverage, 0)} ended inside intervals meant for ${percent(found.coverage_asked, 0)}`
    : "";
  const checks = found.gate.map((check) =>
    h(
      "li",
      {},
      h("span", { class: "state", "data-level": check.passed ? "ok" : "bad" }, check.name),
      h("span", {}, check.passed && check.text === "holds" ? "holds" : check.text),
    ),
  );
  return [
    h("h4", {}, target),
    h("p", { class: "verdict" }, `${found.reason.slice(0, 1).toUpperCase()}${found.reason.slice(1)}.`),
    h("p", { class: "note" }, `${compact(found.test_rows)} rows out of sample, judged by ${found.metric}${held}`),
    h("p", { class: "note" }, found.trading.text),
    ...(checks.length ? [h("ul", { class: "gate", "aria-label": `Checks of the gate, ${target}` }, ...checks)] : []),
    comparison(run, target, found.metric),
  ];
}

/** How the models did out of sample: each one's gain over the best baseline, in percent of that one's error. */
function comparison(run: Run, target: string, metric: string): HTMLElement {
  const told = run.models.filter((one) => one.target === target && one.metric === metric);
  const base = told.find((one) => one.model === one.baseline)?.value;
  const share = (value: number | null): number | null => (value === null || !base ? null : value / Math.abs(base));
  const ends = told.flatMap((one) => [share(one.difference_low) ?? 0, share(one.difference_high) ?? 0]);
  const reach = Math.min(1, Math.max(...ends.map(Math.abs), 0) * 1.1) || 1;
  const axis = { from: -reach, to: reach, nothing: 0 };
  const rows = told
    .toSorted((a, b) => (b.difference ?? -Infinity) - (a.difference ?? -Infinity))
    .map((one) => {
      const [gain, low, high] = [share(one.difference), share(one.difference_low), share(one.difference_high)];
      if (one.model === one.baseline)
        return [one.model, short(one.value), h("span", { class: "note" }, "best baseline"), ""];
      const label = `${one.model} better by ${percent(gain, 2)}`;
      return [one.model, short(one.value), whisker(gain, low, high, axis, label), signed(percent(gain, 2))];
    });
  return table(
    `Models of the run against the best baseline, ${target}`,
    ["Model", `${metric}#`, "Better than the best baseline", "by#"],
    rows,
  );
}

/** The picture of the run, and the way to all of it; both come with the token where one is asked for. */
function picture(run: Run): HTMLElement {
  const part = (name: string): string => `runs/${run.run}/files/${name}`;
  const whole = run.files.includes("report.html") && !api.tokenInUse();
  const link = h("a", { href: `/v1/${part("report.html")}`, target: "_blank", rel: "noopener" }, "The whole report");
  const what = "Error saved against the best baseline over the test time, model by model";
  const drawing = (url: string): HTMLElement =>
    h("img", {
      class: "run-picture",
      src: url,
      alt: what,
      load: () => {
        URL.revokeObjectURL(url);
      },
    });
  return h(
    "div",
    {},
    run.files.includes("errors.png") ? asked(api.file(part("errors.png")), drawing) : null,
    whole ? h("p", { class: "note" }, link) : null,
  );
}
