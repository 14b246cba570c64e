/** Anomalies over the candles, as the process judges them; where it cannot, the switch says why. */

import { Anomalies, type AnomalyQuestion } from "../anomalies";
import * as api from "../api";
import type { ChartView } from "../chart/view";
import type { Context } from "../context";
import { h, setAttr } from "../dom";
import { stepOf } from "../format";
import type { Span } from "../past";
import { when } from "../store";
import { ms } from "../wire";

interface AnomalyRow {
  close_time: string;
}

export interface AnomalySwitch {
  element: HTMLElement;
  /** Ask for what comes into sight. */
  look: (seen: Span) => void;
}

const TITLE = "Shade candles whose price moved, or whose volume grew, as hardly any before";

export function anomalySwitch({ store, session }: Context, view: ChartView): AnomalySwitch {
  const button = h("button", { class: "quiet toggle", "aria-pressed": "false", title: TITLE }, "Anomalies");
  const shown = (): boolean => button.getAttribute("aria-pressed") === "true";
  const say = (problem: string): void => {
    setAttr(button, "title", problem ? `Anomalies cannot be told: ${problem}` : TITLE);
    setAttr(button, "data-level", problem ? "warn" : "none");
  };
  const ask = async ({ start, end, limit }: AnomalyQuestion): Promise<readonly number[] | undefined> => {
    const { instrument, timeframe } = store.state;
    const span = { start: start && api.rfc3339(start), end: end && api.rfc3339(end) };
    try {
      const page = await api.get<api.Page<AnomalyRow>>("anomalies", { instrument, timeframe, limit, ...span });
      say("");
      return page.items.map((row) => ms(row.close_time));
    } catch (error) {
      if (!(error instanceof api.Problem)) throw error;
      if (shown()) say(error.message);
      return undefined;
    }
  };
  const anomalies = new Anomalies(ask, (closes) => {
    view.overlay.set({ anomalies: closes });
  });
  const look = (seen: Span | null): void => {
    if (shown() && seen) void anomalies.look(seen, stepOf(store.state.timeframe));
  };
  const follow = async (): Promise<void> => {
    const last = session.book.last?.close_ms;
    if (!shown() || last === undefined) return;
    await anomalies.follow(last, stepOf(store.state.timeframe));
    look(view.visible());
  };
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!shown()));
    if (!shown()) {
      anomalies.clear();
      say("");
    }
    void follow();
  });
  store.onDraw(
    when(["instrument", "timeframe"], () => {
      anomalies.clear();
    }),
  );
  store.onDraw(when(["candles", "instrument", "timeframe"], () => void follow()));
  return { element: button, look };
}
