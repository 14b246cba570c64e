/** Anomalies over the candles, as the process judges them; where it cannot, the switch says why. */

import * as api from "../api";
import type { ChartView } from "../chart/view";
import type { Context } from "../context";
import { h, setAttr } from "../dom";
import type { State } from "../state";
import { when } from "../store";
import { ms } from "../wire";

interface AnomalyRow {
  close_time: string;
}

const NEWEST = 5000;
const TITLE = "Shade candles whose price moved, or whose volume grew, as hardly any before";

interface Found {
  closes: readonly number[];
  problem: string;
}

/** When candles closed that are anomalies, or why that cannot be told. */
async function anomalies({ instrument, timeframe }: State): Promise<Found> {
  try {
    const { items } = await api.get<api.Page<AnomalyRow>>("anomalies", { instrument, timeframe, limit: NEWEST });
    return { closes: items.map((row) => ms(row.close_time)), problem: "" };
  } catch (error) {
    if (!(error instanceof api.Problem)) throw error;
    return { closes: [], problem: error.message };
  }
}

export function anomalySwitch({ store }: Context, view: ChartView): HTMLElement {
  const button = h("button", { class: "quiet toggle", "aria-pressed": "false", title: TITLE }, "Anomalies");
  const shown = (): boolean => button.getAttribute("aria-pressed") === "true";
  let turn = 0;
  const draw = async (): Promise<void> => {
    const asked = ++turn;
    const wanted = shown() && store.state.instrument;
    const { closes, problem } = wanted ? await anomalies(store.state) : { closes: [], problem: "" };
    if (asked !== turn) return;
    view.overlay.set({ anomalies: closes });
    setAttr(button, "title", problem ? `Anomalies cannot be told: ${problem}` : TITLE);
    setAttr(button, "data-level", problem ? "warn" : "none");
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
