/** Intervals as pictures: where a value lies, how wide its doubt is, and where nothing is. */

import { h, svg } from "../dom";
import { fixed } from "../format";
import type { Prediction } from "../wire";

/** The predicted interval beside the price it started from. */
export function intervalScale(one: Prediction, decimals: number): HTMLElement {
  if (one.priceLow === null || one.priceHigh === null) return h("p", { class: "note" }, "No interval was given.");
  const [low, high] = [Math.min(one.priceLow, one.close), Math.max(one.priceHigh, one.close)];
  const x = (price: number): number => 2 + ((price - low) / (high - low || 1)) * 96;
  const text = `Interval ${fixed(one.priceLow, decimals)} to ${fixed(one.priceHigh, decimals)}, from ${fixed(one.close, decimals)} now`;
  const picture = svg(
    "svg",
    { viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": text },
    svg("line", { x1: 0, x2: 100, y1: 5, y2: 5, class: "axis" }),
    svg("rect", {
      x: x(one.priceLow),
      width: Math.max(0.5, x(one.priceHigh) - x(one.priceLow)),
      y: 2.5,
      height: 5,
      class: "band",
    }),
    svg("rect", { x: x(one.close) - 0.2, width: 0.4, y: 0, height: 10, class: "from" }),
    svg("rect", { x: x(one.price) - 0.5, width: 1, y: 1, height: 8, class: "said-at" }),
  );
  return h(
    "div",
    { class: "interval" },
    picture,
    h(
      "div",
      { class: "ends" },
      h("span", {}, fixed(one.priceLow, decimals)),
      h("span", { class: "quiet-text" }, "interval"),
      h("span", {}, fixed(one.priceHigh, decimals)),
    ),
  );
}

/** A value with its interval on an axis from `from` to `to`, and a mark where nothing is. */
export function whisker(
  value: number | null,
  low: number | null,
  high: number | null,
  axis: { from: number; to: number; nothing: number },
  label: string,
): SVGElement {
  const x = (at: number): number => Math.max(0, Math.min(100, ((at - axis.from) / (axis.to - axis.from || 1)) * 100));
  const parts = [svg("line", { x1: x(axis.nothing), x2: x(axis.nothing), y1: 0, y2: 12, class: "nothing" })];
  if (low !== null && high !== null) parts.push(svg("line", { x1: x(low), x2: x(high), y1: 6, y2: 6, class: "reach" }));
  if (value !== null) parts.push(svg("rect", { x: x(value) - 0.8, y: 2.5, width: 1.6, height: 7, class: "value" }));
  return svg(
    "svg",
    { viewBox: "0 0 100 12", preserveAspectRatio: "none", class: "whisker", role: "img", "aria-label": label },
    ...parts,
  );
}
