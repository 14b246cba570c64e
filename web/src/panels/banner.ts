/** What is wrong, in one line above everything, while something is. */

import type { Context } from "../context";
import { h, setAttr, setText } from "../dom";
import { duration } from "../format";
import type { State } from "../state";

interface Trouble {
  level: "warn" | "bad";
  title: string;
  text: string;
}

export function banner({ store, tick }: Context): HTMLElement {
  const title = h("strong", {});
  const text = h("span", {});
  const box = h("div", { class: "banner", role: "status" }, title, text);
  const draw = (): void => {
    const trouble = troubleOf(store.state, Date.now());
    box.hidden = !trouble;
    document.documentElement.classList.toggle("stale", store.state.link.phase !== "live" && store.state.candles > 0);
    setAttr(box, "data-level", trouble?.level ?? "");
    setText(title, trouble?.title ?? "");
    setText(text, trouble?.text ?? "");
  };
  store.onDraw(draw);
  tick(draw);
  return box;
}

/** The most telling trouble there is, or null. */
export function troubleOf(state: State, now: number): Trouble | null {
  const { link, status } = state;
  if (link.phase === "waiting" || (link.phase === "connecting" && link.attempt > 0)) {
    const next = link.retryAt === null ? "trying now" : `next try in ${duration(link.retryAt - now)}`;
    const shown = state.candles ? "what is shown stands still" : "nothing can be shown";
    return {
      level: "bad",
      title: "Reconnecting",
      text: `The process does not answer: ${shown}; attempt ${link.attempt}, ${next}.`,
    };
  }
  if (state.history === "failed") return { level: "bad", title: "Not loaded", text: state.problem ?? "" };
  if (status && status.health !== "healthy") {
    const level = status.health === "unhealthy" ? "bad" : "warn";
    return {
      level,
      title: level === "bad" ? "Unhealthy" : "Degraded",
      text: status.reasons.join(" · ") || "no reason was told",
    };
  }
  return null;
}
