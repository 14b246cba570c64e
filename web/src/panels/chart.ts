/** The chart's panel: the chart, what the pointer is on, which indicators are shown, and why it may be empty. */

import { answersTo, oddOnes, stretchesOf } from "../answers";
import { ChartView } from "../chart/view";
import type { Context } from "../context";
import { h } from "../dom";
import { compact, fixed, lengthOf, percent, short, signed, stepOf } from "../format";
import { MOST_FEATURES, RECENT, type Canvas, type Session } from "../session";
import { isSimulated, type State } from "../state";
import { when } from "../store";
import type { Bar, Features } from "../wire";
import { anomalySwitch } from "./anomalies";
import { indicatorPicker, namesBySet, rememberedNames } from "./indicators";
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
  const tools = h(
    "div",
    { class: "chart-tools" },
    indicatorPicker(context, view.indicators, changed),
    predictionsSwitch(view),
    anomalySwitch(context, view),
  );
  const element = h(
    "section",
    { class: "chart", "aria-label": "Chart" },
    h("div", { class: "chart-head" }, h("div", { class: "legends" }, legend, chosen), tools),
    host,
    emptyState(context),
  );
  store.onDraw(when(["candles", "features", "trades", "zone"], showLegend));
  store.onDraw(when(["features"], () => void canvas.reach(store.state)));
  follow(context, view, host);
  keys(host, view);
  return { element, view };
}

/** Draw what the session tells, and keep the past of the indicators in step with the candles. */
class Drawing implements Canvas {
  private decimalsShown = false;
  /** Since when indicators are drawn, as far as they were asked for; null: what came by itself. */
  private from: number | null = null;
  private asking = false;
  private turn = 0;

  constructor(
    private readonly view: ChartView,
    private readonly session: Session,
  ) {}

  draw(change: Parameters<Canvas["draw"]>[0], step: number): void {
    const fresh = !this.decimalsShown;
    this.view.draw(change, step);
    if (fresh && this.session.book.bars.length) {
      this.decimalsShown = true;
      this.view.home();
    }
  }

  drawRunning(): void {
    this.view.drawRunning();
  }

  features(rows: readonly Features[]): void {
    this.view.indicators.feed(rows, this.length, this.session.book.bars);
  }

  cleared(): void {
    this.decimalsShown = false;
    this.from = null;
    this.turn++;
    this.view.indicators.clear();
    this.view.draw("all", NaN);
  }

  /** Fill newly chosen indicators: with what is here at once, and with the past in sight when it comes. */
  fill(state: State): void {
    for (const rows of Object.values(state.features)) this.features(rows);
    const { last } = this.session.book;
    this.from = last ? last.open_ms + 2 * stepOf(state.timeframe) : null;
    void this.reach(state);
  }

  /** Fill the indicators where somebody looks: from what is drawn of them back to a screen before it. */
  async reach(state: State): Promise<void> {
    const { first, last } = this.session.book;
    const sets = this.setsShown(state);
    if (this.asking || !first || !last || !sets.length) return;
    const step = stepOf(state.timeframe);
    const turn = this.turn;
    this.asking = true;
    for (;;) {
      const from = this.from ?? last.open_ms - RECENT * step;
      const seen = this.view.visible();
      if (!seen || Math.max(first.open_ms, seen.from) >= from) break;
      if (Math.max(seen.to - seen.from, (from - seen.to) / 4) > MOST_FEATURES * step) break; // too many to draw
      const wanted = Math.max(this.session.book.first?.open_ms ?? from, 2 * seen.from - seen.to);
      const start = Math.max(wanted, from - (MOST_FEATURES - 2) * step);
      await this.session.past(sets, start, from + step);
      if (this.turn !== turn || start >= from) break;
      this.from = start;
    }
    this.asking = false;
  }

  /** The sets that the indicators shown are of. */
  private setsShown(state: State): string[] {
    const { names } = this.view.indicators;
    const sets = [...namesBySet(state.features)].filter(([, own]) => own.some((name) => names.includes(name)));
    return sets.map(([set]) => set);
  }

  private get length(): number {
    return lengthOf(this.session.timeframe);
  }
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

function follow({ store, session, decimals }: Context, view: ChartView, host: HTMLElement): void {
  let shown = -1;
  let told: number | null = null;
  store.onDraw((state, before) => {
    if (state.predictions !== before?.predictions) view.overlay.set({ predictions: state.predictions });
    const threshold = state.status?.anomaly_threshold ?? null;
    if (state.answers !== before?.answers || threshold !== told) {
      const regimes = stretchesOf(answersTo(state.answers, "regime"), stepOf(state.timeframe));
      view.overlay.set({ regimes, odd: oddOnes(state.answers, (told = threshold)) });
    }
    if (state.late !== before?.late) view.overlay.set({ late: state.late });
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
