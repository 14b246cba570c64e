/** Single keys for the whole page; whoever speaks to the computer can switch them off in the help. */

import type { Context } from "./context";
import type { Dock } from "./panels/dock";
import { shortcutsOn } from "./panels/help";

const TABS = ["features", "models", "quality", "venues"];

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
}

export function shortcuts({ store }: Context, dock: Dock, help: () => void): void {
  const press = (id: string): void => {
    document.getElementById(id)?.click();
  };
  const keys: Record<string, () => void> = {
    "?": help,
    i: () => {
      press("choose-indicators");
    },
    p: () => {
      press("toggle-predictions");
    },
    u: () => {
      store.dispatch({ kind: "zone", zone: store.state.zone === "utc" ? "local" : "utc" });
    },
    t: () => {
      store.dispatch({ kind: "theme", theme: store.state.theme === "dark" ? "light" : "dark" });
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || !shortcutsOn()) return;
    if (document.querySelector("dialog[open]")) return;
    const tab = TABS[Number(event.key) - 1];
    if (tab) dock.open(tab);
    else keys[event.key]?.();
  });
}
