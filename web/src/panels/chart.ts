/** The chart's panel: the chart, what the pointer is on, which indicators are shown, and why it may be empty. */

import { answersTo, oddOnes, stretchesOf } from "../answers";
import { ChartView } from "../chart/view";
import type { Context } from "../context";
import { h } from "../dom";
import { compact, fixed, percent, short, signed, stepOf } from "../format";
import { together } from "../past";
import type { Session } from "../session";
import { isSimulated } from "../state";
import { when } from "../store";
import type { Bar } from "../wire";
import { anomalySwitch } from "./anomalies";
import { Drawing } from "./drawing";
import { indicatorPicker, rememberedNames } from "./indicators";
import { emptyState } from "./waiting";

export interface ChartPanel {
  element: HTMLElement;
  view: ChartView;
}

export function chartPanel(context: Context): ChartPanel {
  const { store, session } = context;
  const host = h("div", { class: "chart-canvas", tabindex: 0, role: "application", "aria-label": "Chart" });
  const legend = h("div", { class: "legend" });
  const chosen = h("div", { class: "legend-indicators" });
  let hovered: number | null = null;
  const view = new ChartView(host, session.book, {
    moved: () => {
      void older();
      void canvas.reach(store.state);
      look();
    },
    hover: (index) => {
      hovered = index;
      showLegend();
    },
  });
  let asking = false;
  const older = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    while (view.nearStart() && (await session.older()));
    asking = false;
  };
  const look = (): void => {
    const seen = view.visible();
    if (!seen) return;
    void session.look(seen);
    anomalies.look(seen);
    host.dataset["scored"] = String(view.overlay.scoredIn(seen));
    back.hidden = view.showsNewest();
  };
  const back = newestButton(host, view);
  const showLegend = (): void => {
    drawLegend(legend, barAt(session, hovered), context);
    drawChosen(chosen, view, barAt(session, hovered));
  };
  const canvas = new Drawing(view, session);
  session.attach(canvas);
  const changed = (): void => {
    canvas.fill(store.state);
    showLegend();
  };
  for (const name of rememberedNames()) view.indicators.add(name);
  const anomalies = anomalySwitch(context, view);
  const tools = h(
    "div",
    { class: "chart-tools" },
    indicatorPicker(context, view.indicators, changed),
    predictionsSwitch(view),
    anomalies.element,
  );
  const element = h(
    "section",
    { class: "chart", "aria-label": "Chart" },
    h("div", { class: "chart-head" }, h("div", { class: "legends" }, legend, chosen), tools),
    host,
    back,
    emptyState(context),
  );
  store.onDraw(when(["candles", "features", "trades", "zone"], showLegend));
  store.onDraw(when(["features"], () => void canvas.reach(store.state)));
  follow(context, view, host);
  store.onDraw(when(["candles", "predictions", "answers", "past"], look));
  keys(host, view);
  return { element, view };
}

function barAt({ book }: Session, index: number | null): Bar | undefined {
  if (index === null) return book.running ?? book.last;
  return index === book.bars.length ? (book.running ?? undefined) : book.bars[index];
}

function drawLegend(legend: HTMLElement, bar: Bar | undefined, { decimals }: Context): void {
  const part = (name: string, text: string, className = ""): HTMLElement =>
    h("span", { class: className }, h("i", {}, name), text);
  if (!bar) {
    legend.replaceChildren();
    return;
  }
  const price = (value: number): string => fixed(value, decimals());
  const sign = bar.close < bar.open ? "down" : "up";
  const state = !bar.closed ? "running" : bar.complete ? "" : "incomplete";
  legend.replaceChildren(
    part("O", price(bar.open)),
    part("H", price(bar.high)),
    part("L", price(bar.low)),
    part("C", price(bar.close), sign),
    part("", signed(percent(bar.close / bar.open - 1, 2)), sign),
    part("Vol", short(bar.volume)),
    part("Trades", compact(bar.trades)),
    state ? h("em", { class: state }, state) : "",
  );
}

function drawChosen(chosen: HTMLElement, { indicators }: ChartView, bar: Bar | undefined): void {
  const items = (bar ? indicators.names : []).map((name) => {
    const swatch = h("b", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = indicators.colourOf(name) ?? "";
    const value = bar ? (indicators.valueAt(name, bar.open_ms) ?? indicators.lastOf(name)) : null;
    return h("span", {}, swatch, h("i", {}, name), short(value));
  });
  chosen.replaceChildren(...items);
}

function predictionsSwitch(view: ChartView): HTMLElement {
  const button = h(
    "button",
    {
      class: "quiet toggle",
      "aria-pressed": "true",
      title: "What models say, on the chart: predictions, regimes, odd candles (p)",
      id: "toggle-predictions",
    },
    "Predictions",
  );
  button.addEventListener("click", () => {
    const shown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(shown));
    view.overlay.set({ showPredictions: shown });
  });
  return button;
}

/** The way back to the present, while somebody looks at the past. */
function newestButton(host: HTMLElement, view: ChartView): HTMLElement {
  const button = h("button", { class: "newest", hidden: true, title: "Back to the newest candle (Home)" }, "Newest →");
  button.addEventListener("click", () => {
    view.home();
    host.focus({ preventScroll: true });
  });
  return button;
}

function follow({ store, session, decimals }: Context, view: ChartView, host: HTMLElement): void {
  let shown = -1;
  let told: number | null = null;
  store.onDraw((state, before) => {
    const { past } = state;
    if (state.predictions !== before?.predictions || past !== before.past) {
      view.overlay.set({ predictions: together(past.predictions, state.predictions) });
    }
    const threshold = state.status?.anomaly_threshold ?? null;
    if (state.answers !== before?.answers || past !== before.past || threshold !== told) {
      const answers = together(past.answers, state.answers);
      const regimes = stretchesOf(answersTo(answers, "regime"), stepOf(state.timeframe));
      view.overlay.set({ regimes, odd: oddOnes(answers, (told = threshold)) });
    }
    if (state.late !== before?.late || past !== before.past) {
      view.overlay.set({ late: together(past.late, state.late) });
    }
    if (state.gaps !== before?.gaps) view.overlay.set({ gaps: state.gaps });
    view.overlay.set({ simulated: isSimulated(state) });
    if (state.zone !== before?.zone) view.setZone(state.zone);
    if (state.theme !== before?.theme) view.repaint();
    if (decimals() !== shown) view.setDecimals((shown = decimals()));
    const last = session.book.last;
    host.dataset["candles"] = String(session.book.bars.length);
    const name = `${state.instrument ?? "no instrument"}, ${state.timeframe} candles`;
    if (last && state.candles !== before?.candles)
      host.setAttribute(
        "aria-label",
        `Chart of ${name}; last close ${fixed(last.close, decimals())}. Arrows pan, plus and minus zoom, Home shows the newest.`,
      );
  });
}

function keys(host: HTMLElement, view: ChartView): void {
  const moves: Record<string, () => void> = {
    ArrowLeft: () => {
      view.pan(-0.1);
    },
    ArrowRight: () => {
      view.pan(0.1);
    },
    PageUp: () => {
      view.pan(-0.9);
    },
    PageDown: () => {
      view.pan(0.9);
    },
    "+": () => {
      view.zoom(0.7);
    },
    "=": () => {
      view.zoom(0.7);
    },
    "-": () => {
      view.zoom(1.4);
    },
    Home: () => {
      view.home();
    },
    End: () => {
      view.home();
    },
  };
  host.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move();
  });
  host.addEventListener("dblclick", () => {
    view.home();
  });
}
