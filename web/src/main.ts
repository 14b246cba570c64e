/** Tapeline's page: puts the parts together, and does nothing else. */

import "./styles/tokens.css";
import "./styles/layout.css";
import "./styles/panels.css";
import "./styles/controls.css";
import type { Context } from "./context";
import { h } from "./dom";
import { exportPicture, exportTable } from "./export";
import { decimalsOf } from "./format";
import { banner } from "./panels/banner";
import { chartPanel } from "./panels/chart";
import { dock } from "./panels/dock";
import { header } from "./panels/header";
import { health } from "./panels/health";
import { help } from "./panels/help";
import { prediction } from "./panels/prediction";
import { tape } from "./panels/tape";
import { tokenDialog } from "./panels/token";
import { Session } from "./session";
import { shortcuts } from "./shortcuts";
import { initial, type Theme } from "./state";
import { Store, when } from "./store";

function preferredTheme(): Theme {
  const kept = localStorage.getItem("tapeline.theme");
  if (kept === "dark" || kept === "light") return kept;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

/** The grid of prices as far as it was seen: of the newest trades and candles. */
function tickSeen({ store, session }: Pick<Context, "store" | "session">): () => number {
  let known = { instrument: "", decimals: 0 };
  return () => {
    const instrument = store.state.instrument ?? "";
    if (known.instrument !== instrument) known = { instrument, decimals: 0 };
    const prices = [
      ...store.state.trades.slice(0, 20).map((trade) => trade.price),
      ...session.book.bars.slice(-50).map((bar) => bar.close),
    ];
    known.decimals = Math.max(known.decimals, decimalsOf(prices));
    return known.decimals;
  };
}

function start(root: HTMLElement): void {
  const theme = preferredTheme();
  document.documentElement.dataset["theme"] = theme;
  const store = new Store(
    initial(Date.now(), theme, localStorage.getItem("tapeline.zone") === "local" ? "local" : "utc"),
  );
  const timers = {
    now: () => Date.now(),
    after: (wait: number, run: () => void) => window.setTimeout(run, wait),
    cancel: (id: number) => {
      window.clearTimeout(id);
    },
  };
  const address = new URL("/v1/stream", location.href.replace(/^http/, "ws"));
  const askToken = (): void => {
    const enter = (token: string): Promise<void> => session.enter(token);
    tokenDialog("Enter", "This process shows itself to other machines only with its token.", enter);
  };
  const session = new Session(store, () => new WebSocket(address) as never, timers, askToken);
  const ticks: (() => void)[] = [];
  window.setInterval(() => {
    for (const run of ticks) run();
  }, 1000);
  const context: Context = {
    store,
    session,
    now: () => Date.now() + store.state.skew,
    tick: (run) => ticks.push(run),
    decimals: tickSeen({ store, session }),
  };
  store.onDraw(
    when(["theme"], (state) => {
      document.documentElement.dataset["theme"] = state.theme;
      localStorage.setItem("tapeline.theme", state.theme);
    }),
  );
  build(root, context);
  session.start();
}

function build(root: HTMLElement, context: Context): void {
  const chart = chartPanel(context);
  const lower = dock(context);
  const about = help();
  const events = {
    exportPicture: () => {
      exportPicture(context.store.state, chart.view);
    },
    exportTable: () => {
      exportTable(context.store.state, context.session, chart.view);
    },
    help: () => {
      about.showModal();
    },
  };
  root.append(
    header(context, events),
    banner(context),
    health(context),
    h(
      "main",
      { class: "main" },
      chart.element,
      h("aside", { class: "side", "aria-label": "Prediction and tape" }, prediction(context), tape(context)),
      lower.element,
    ),
    about,
  );
  shortcuts(context, lower, events.help);
}

const root = document.getElementById("app");
if (root) start(root);
