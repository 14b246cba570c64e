/** Numbers and times as text. What is unknown is a dash, never a zero. */

export const UNKNOWN = "–";
export type Zone = "utc" | "local";

const grouped = new Map<number, Intl.NumberFormat>();

/** A number with exactly so many decimals. */
export function fixed(value: number | null | undefined, decimals: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  let format = grouped.get(decimals);
  if (!format) {
    format = new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    grouped.set(decimals, format);
  }
  return format.format(value).replace("-", "−");
}

/** How many decimals the grid of these prices has, 8 at most: the instrument's tick as far as it was seen. */
export function decimalsOf(prices: Iterable<number>): number {
  let most = 0;
  for (const price of prices) {
    while (most < 8 && Math.abs(price - Number(price.toFixed(most))) > Math.abs(price) * 1e-12) most++;
  }
  return most;
}

/** Three or so telling digits, for values whose grid is not known. */
export function short(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e6) return compact(value);
  if (size < 1e-4) return value.toExponential(2).replaceAll("-", "−");
  return fixed(value, size >= 1000 ? 0 : Math.max(0, 3 - Math.ceil(Math.log10(size))));
}

const compactFormat = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** A count for a narrow place: 1.2K, 3.4M. */
export function compact(value: number | null | undefined): string {
  return value === null || value === undefined || !Number.isFinite(value)
    ? UNKNOWN
    : compactFormat.format(value).replace("-", "−");
}

/** A share as per cent. */
export function percent(share: number | null | undefined, decimals = 1): string {
  return share === null || share === undefined ? UNKNOWN : `${fixed(share * 100, decimals)}%`;
}

/** A change with its sign, and a real minus; what rounds to nothing is not below it. */
export function signed(text: string): string {
  if (text === UNKNOWN) return text;
  if (!/[1-9]/.test(text)) return text.replace("−", "");
  return text.startsWith("−") ? text : `+${text}`;
}

/** A log return in basis points: what a price moves by within minutes. */
export function basisPoints(value: number | null | undefined, decimals = 1): string {
  return value === null || value === undefined ? UNKNOWN : signed(fixed(value * 1e4, decimals));
}

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return UNKNOWN;
  return count < 1e9 ? `${fixed(count / 1e6, 0)} MB` : `${fixed(count / 1e9, 2)} GB`;
}

/** A length of time: 0.4 s, 12 s, 3m 20s, 2h 5m, 3d 4h. */
export function duration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return UNKNOWN;
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return whole % 60 ? `${Math.floor(whole / 60)}m ${whole % 60}s` : `${whole / 60}m`;
  if (whole < 86400) return `${Math.floor(whole / 3600)}h ${Math.floor((whole % 3600) / 60)}m`;
  return `${Math.floor(whole / 86400)}d ${Math.floor((whole % 86400) / 3600)}h`;
}

/** A countdown as mm:ss, or h:mm:ss. */
export function countdown(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000));
  const pad = (part: number): string => String(part).padStart(2, "0");
  const minutes = `${pad(Math.floor((seconds % 3600) / 60))}:${pad(seconds % 60)}`;
  return seconds < 3600 ? minutes : `${Math.floor(seconds / 3600)}:${minutes}`;
}

type Shape = "time" | "minute" | "date" | "day" | "month" | "year" | "full";

const SHAPES: Record<Shape, Intl.DateTimeFormatOptions> = {
  time: { hour: "2-digit", minute: "2-digit", second: "2-digit" },
  minute: { hour: "2-digit", minute: "2-digit" },
  date: { day: "2-digit", month: "short", year: "numeric" },
  day: { day: "numeric", month: "short" },
  month: { month: "short", year: "2-digit" },
  year: { year: "numeric" },
  full: { day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" },
};
const clocks = new Map<string, Intl.DateTimeFormat>();

/** An instant in UTC or in the reader's own zone. */
export function instant(at: number, shape: Shape, zone: Zone): string {
  if (!Number.isFinite(at)) return UNKNOWN;
  const key = `${shape} ${zone}`;
  let format = clocks.get(key);
  if (!format) {
    const where = zone === "utc" ? { timeZone: "UTC" } : {};
    format = new Intl.DateTimeFormat("en-GB", { ...SHAPES[shape], hourCycle: "h23", ...where });
    clocks.set(key, format);
  }
  return format.format(at);
}

const UNITS: Record<string, number> = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 };

/** The length of a timeframe or horizon such as `5m`, or of the window of `5m/1m`, in milliseconds. */
export function lengthOf(text: string): number {
  let total = 0;
  for (const [, count, unit] of (text.split("/")[0] ?? "").matchAll(/(\d+)(ms|[smhd])/g)) {
    total += Number(count) * (UNITS[unit ?? ""] ?? NaN);
  }
  return total || NaN;
}

/** The step from one candle of a timeframe to the next, in milliseconds. */
export function stepOf(timeframe: string): number {
  return lengthOf(timeframe.split("/")[1] ?? timeframe);
}

/** The asset and quote of an instrument, without its venue. */
export function pairOf(instrument: string): string {
  const dot = instrument.lastIndexOf(".");
  return dot < 0 ? instrument : instrument.slice(0, dot);
}
