/** Details on demand: a popover that opens under what it explains. */

import { h } from "./dom";

const GAP = 6;

function place(popover: HTMLElement, anchor: HTMLElement): void {
  const box = anchor.getBoundingClientRect();
  const width = popover.offsetWidth;
  const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - width - 8));
  const below = box.bottom + GAP;
  const fits = below + popover.offsetHeight < window.innerHeight || box.top < popover.offsetHeight;
  popover.style.left = `${left}px`;
  popover.style.top = `${fits ? below : box.top - GAP - popover.offsetHeight}px`;
}

/** Let a button open what `content` makes, at that moment; `opened` may add to it later. */
export function detail(button: HTMLButtonElement, title: string, content: () => HTMLElement): { refresh: () => void } {
  const body = h("div", { class: "popover-body" });
  const popover = h(
    "div",
    { popover: "auto", class: "popover", role: "dialog", "aria-label": title },
    h("h2", {}, title),
    body,
  );
  button.setAttribute("aria-haspopup", "dialog");
  button.setAttribute("aria-expanded", "false");
  button.after(popover);
  button.popoverTargetElement = popover;
  const resized = new ResizeObserver(() => {
    place(popover, button);
  });
  popover.addEventListener("toggle", (event) => {
    const open = event.newState === "open";
    button.setAttribute("aria-expanded", String(open));
    resized.disconnect();
    if (!open) return;
    resized.observe(popover);
    body.replaceChildren(content());
    place(popover, button);
  });
  return {
    refresh: (): void => {
      if (!popover.matches(":popover-open")) return;
      const scrolled = body.scrollTop;
      body.replaceChildren(content());
      body.scrollTop = scrolled;
    },
  };
}
