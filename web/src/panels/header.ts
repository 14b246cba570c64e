/** The top line: what is looked at, its price, and how the page behaves. */

import type { Context } from "../context";
import { h, setAttr, setText, svg } from "../dom";
import { fixed, percent, signed } from "../format";
import { isSimulated, type State } from "../state";
import { when } from "../store";

export interface HeaderEvents {
  exportPicture: () => void;
  exportTable: () => void;
  help: () => void;
}

export function header(context: Context, events: HeaderEvents): HTMLElement {
  return h(
    "header",
    { class: "header" },
    h("h1", { class: "brand" }, mark(), "Tapeline"),
    instrumentPicker(context),
    timeframePicker(context),
    priceLine(context),
    simulatedBadge(context),
    h("span", { class: "spring" }),
    zoneSwitch(context),
    themeSwitch(context),
    exportMenu(events),
    h(
      "button",
      { class: "quiet icon", click: events.help, "aria-label": "Help and keyboard", title: "Help and keyboard (?)" },
      "?",
    ),
  );
}

function mark(): SVGElement {
  const path = svg("path", { d: "M1 15h5V7h5v5h5V3h5" });
  return svg("svg", { viewBox: "0 0 22 18", class: "mark", "aria-hidden": "true" }, path);
}

function instrumentPicker({ store, session }: Context): HTMLElement {
  const select = h("select", { id: "instrument", "aria-label": "Instrument", class: "instrument" });
  select.addEventListener("change", () => {
    const listed = store.state.instruments.find((row) => row.instrument === select.value)?.timeframes ?? [];
    const timeframe = listed.includes(store.state.timeframe) ? store.state.timeframe : (listed[0] ?? "1m");
    session.select(select.value, timeframe);
  });
  store.onDraw(
    when(["instruments", "instrument"], (state) => {
      const names = state.instruments.map((row) => row.instrument);
      if (names.join() !== [...select.options].map((option) => option.value).join()) {
        select.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
      }
      if (!names.length) select.replaceChildren(h("option", {}, "no instrument yet"));
      select.disabled = !names.length;
      if (state.instrument) select.value = state.instrument;
    }),
  );
  return select;
}

function timeframePicker({ store, session }: Context): HTMLElement {
  const group = h("div", { class: "segments", role: "group", "aria-label": "Timeframe" });
  const offered = (state: State): readonly string[] => {
    const listed = state.instruments.find((row) => row.instrument === state.instrument)?.timeframes;
    return listed?.length ? listed : state.instrument ? [state.timeframe] : [];
  };
  store.onDraw(
    when(["instruments", "instrument", "timeframe"], (state) => {
      const choose = (name: string) => (): void => {
        if (state.instrument) session.select(state.instrument, name);
      };
      const button = (name: string): HTMLElement =>
        h("button", { "aria-pressed": String(name === state.timeframe), click: choose(name) }, name);
      const focused = group.contains(document.activeElement);
      group.replaceChildren(...offered(state).map(button));
      if (focused) group.querySelector<HTMLElement>("[aria-pressed=true]")?.focus();
    }),
  );
  return group;
}

function priceLine({ store, session, decimals }: Context): HTMLElement {
  const price = h("output", { class: "price", "aria-label": "Last price" });
  const change = h("span", { class: "change" });
  store.onDraw(
    when(["trades", "status", "candles", "instrument"], (state) => {
      const { book } = session;
      const last = state.trades[0]?.price ?? book.running?.close ?? book.last?.close;
      setText(price, fixed(last, decimals()));
      const day = book.bars.length ? dayAgo(book.bars, book.last?.close_ms ?? 0) : null;
      const moved = last !== undefined && day ? last / day.price - 1 : null;
      setText(change, day && moved !== null ? `${signed(percent(moved, 2))} in ${day.over}` : "");
      setAttr(change, "data-sign", moved === null ? null : moved < 0 ? "down" : "up");
      document.title = titleOf(state, fixed(last, decimals()));
    }),
  );
  return h("div", { class: "quote" }, price, change);
}

function dayAgo(
  bars: readonly { open_ms: number; open: number }[],
  end: number,
): { price: number; over: string } | null {
  const first = bars.find((bar) => bar.open_ms >= end - 864e5);
  if (!first) return null;
  const hours = Math.round((end - first.open_ms) / 36e5);
  return { price: first.open, over: hours < 1 ? `${Math.round((end - first.open_ms) / 6e4)}m` : `${hours}h` };
}

function titleOf(state: State, price: string): string {
  const name = state.instrument ? `${price} ${state.instrument} · Tapeline` : "Tapeline";
  return isSimulated(state) ? `SIMULATED ${name}` : name;
}

function simulatedBadge({ store }: Context): HTMLElement {
  const badge = h(
    "strong",
    { class: "badge simulated", title: "These numbers come from a simulated market" },
    "SIMULATED",
  );
  store.onDraw(
    when(["status", "instrument", "instruments"], (state) => {
      badge.hidden = !isSimulated(state);
    }),
  );
  return badge;
}

function zoneSwitch({ store }: Context): HTMLElement {
  const button = h("button", { class: "quiet zone", title: "Times in UTC or in your own zone (u)" });
  button.addEventListener("click", () => {
    store.dispatch({ kind: "zone", zone: store.state.zone === "utc" ? "local" : "utc" });
  });
  store.onDraw(
    when(["zone"], (state) => {
      setText(button, state.zone === "utc" ? "UTC" : "Local");
      setAttr(button, "aria-label", `Times are in ${state.zone === "utc" ? "UTC" : "local time"}: switch`);
      localStorage.setItem("tapeline.zone", state.zone);
    }),
  );
  return button;
}

function themeSwitch({ store }: Context): HTMLElement {
  const button = h(
    "button",
    { class: "quiet icon", title: "Dark or light (t)", "aria-label": "Switch dark and light" },
    "◐",
  );
  button.addEventListener("click", () => {
    store.dispatch({ kind: "theme", theme: store.state.theme === "dark" ? "light" : "dark" });
  });
  return button;
}

function exportMenu(events: HeaderEvents): HTMLElement {
  const menu = h("div", { id: "export", popover: "auto", class: "popover menu" });
  const item = (text: string, run: () => void): HTMLElement =>
    h("button", { class: "quiet", click: run, popovertarget: "export", popovertargetaction: "hide" }, text);
  menu.append(
    item("Picture of the chart (PNG)", events.exportPicture),
    item("Candles in sight (CSV)", events.exportTable),
  );
  return h("div", {}, h("button", { class: "quiet", popovertarget: "export" }, "Export"), menu);
}
