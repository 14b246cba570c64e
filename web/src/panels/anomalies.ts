/** Anomalies over the candles, as the process judges them; where it cannot, as the features look from here. */

import * as api from "../api";
import type { ChartView } from "../chart/view";
import type { Context } from "../context";
import { h } from "../dom";
import type { State } from "../state";
import { when } from "../store";
import { ms } from "../wire";
import { anomaliesIn } from "./features";

interface AnomalyRow {
  close_time: string;
}

const NEWEST = 5000;

/** When candles closed that are anomalies. */
async function anomalies({ instrument, timeframe, features }: State): Promise<readonly number[]> {
  try {
    const { items } = await api.get<api.Page<AnomalyRow>>("anomalies", { instrument, timeframe, limit: NEWEST });
    return items.map((row) => ms(row.close_time));
  } catch (error) {
    if (!(error instanceof api.Problem)) throw error;
    return anomaliesIn(features);
  }
}

export function anomalySwitch({ store }: Context, view: ChartView): HTMLElement {
  const title = "Shade candles whose price moved, or whose volume grew, as hardly any before";
  const button = h("button", { class: "quiet toggle", "aria-pressed": "false", title }, "Anomalies");
  const shown = (): boolean => button.getAttribute("aria-pressed") === "true";
  let turn = 0;
  const draw = async (): Promise<void> => {
    const asked = ++turn;
    const found = shown() && store.state.instrument ? await anomalies(store.state) : [];
    if (asked === turn) view.overlay.set({ anomalies: found });
  };
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", String(!shown()));
    void draw();
  });
  store.onDraw(
    when(["candles", "instrument", "timeframe"], () => {
      if (shown()) void draw();
    }),
  );
  return button;
}
