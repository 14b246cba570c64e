/** The colours of the style sheet, as the canvas needs them. */

const NAMES = [
  "panel",
  "ink",
  "ink-2",
  "ink-3",
  "line",
  "up",
  "down",
  "pred",
  "warn",
  "bad",
  "grid",
  "heat-low",
  "heat-high",
] as const;
export type Palette = Record<(typeof NAMES)[number], string> & { series: readonly string[]; font: string };

const SERIES = 6;

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  const named = Object.fromEntries(NAMES.map((name) => [name, read(name)])) as Record<(typeof NAMES)[number], string>;
  const series = Array.from({ length: SERIES }, (_, index) => read(`series-${index + 1}`));
  return { ...named, series, font: read("font") };
}

/** A `#rrggbb` with an opacity. */
export function faint(colour: string, opacity: number): string {
  const share = Math.round(opacity * 255);
  return colour + share.toString(16).padStart(2, "0");
}
