/** The health strip: one line that says whether to trust the rest; each part opens its detail. */

import type { Context } from "../context";
import { h, setAttr, setText } from "../dom";
import { bytes, compact, duration, fixed } from "../format";
import { detail } from "../popover";
import type { State } from "../state";
import { when } from "../store";
import { ms, type Status } from "../wire";
import {
  deadLetterDetail,
  gapDetail,
  instrumentDetail,
  latencyDetail,
  levelOfVenue,
  perSecond,
  processDetail,
  venueDetail,
  type Level,
} from "./details";
import { driftDetail } from "./drift";

interface Reading {
  text: string;
  level: Level;
}

interface Gauge {
  name: string;
  title: string;
  read: (status: Status, state: State, now: number) => Reading;
  more: (context: Context) => HTMLElement;
}

const SLOW_MS = 1000;

const sum = (numbers: readonly (number | null)[]): number =>
  numbers.reduce<number>((total, one) => total + (one ?? 0), 0);

function worst(levels: readonly Level[]): Level {
  return (["bad", "warn", "ok"] as const).find((level) => levels.includes(level)) ?? "none";
}

const GAUGES: readonly Gauge[] = [
  {
    name: "Venues",
    title: "Connections to venues",
    read: ({ venues }) => {
      const live = venues.filter((venue) => levelOfVenue(venue.state) === "ok").length;
      const one = venues.length === 1 ? venues[0] : undefined;
      const text = one ? `${one.venue} ${one.state}` : `${live}/${venues.length} live`;
      return { text: venues.length ? text : "none", level: worst(venues.map((venue) => levelOfVenue(venue.state))) };
    },
    more: venueDetail,
  },
  {
    name: "Trades",
    title: "Trades each second",
    read: ({ instruments }) => {
      const rates = instruments.map((row) => row.trades_per_second);
      const known = rates.some((rate) => rate !== null);
      return { text: known ? `${perSecond(sum(rates))}/s` : "–", level: "none" };
    },
    more: instrumentDetail,
  },
  {
    name: "Last trade",
    title: "How old the last trade is",
    read: ({ instruments }, state, now) => {
      const mine = instruments.filter((row) => row.instrument === state.instrument);
      const age = now - Math.max(...mine.map((row) => ms(row.last_trade) || -Infinity));
      return { text: Number.isFinite(age) ? duration(age) : "none yet", level: age > 60_000 ? "warn" : "none" };
    },
    more: instrumentDetail,
  },
  {
    name: "Lag",
    title: "From the socket to what is stored, by stage",
    read: ({ latency_ms: stages }) => {
      const total = stages["total"] ?? Object.values(stages).at(-1);
      return { text: `p99 ${lag(total?.p99 ?? null)}`, level: (total?.p99 ?? 0) > SLOW_MS ? "warn" : "none" };
    },
    more: latencyDetail,
  },
  {
    name: "Gaps",
    title: "Missing trade ids: open, healed, unhealable",
    read: ({ instruments }) => {
      const [open, healed, lost] = (["open", "healed", "unhealable"] as const).map((key) =>
        sum(instruments.map((row) => row.gaps[key])),
      );
      return { text: `${open} open · ${healed} healed · ${lost} lost`, level: open ? "warn" : "none" };
    },
    more: gapDetail,
  },
  {
    name: "Late",
    title: "Trades that came after their candle had closed",
    read: ({ instruments }) => ({ text: compact(sum(instruments.map((row) => row.late))), level: "none" }),
    more: instrumentDetail,
  },
  {
    name: "Dead letters",
    title: "Messages that could not be read, kept raw",
    read: ({ instruments, venues }) => {
      const count = sum([...instruments.map((row) => row.dead_letters), ...venues.map((row) => row.malformed)]);
      return { text: compact(count), level: count ? "warn" : "none" };
    },
    more: deadLetterDetail,
  },
  {
    name: "Drift",
    title: "Features that no longer look as they did in training",
    read: ({ drift }) => ({
      text: drift ? `${drift.drifted} of ${drift.features}` : "not measured",
      level: drift ? (drift.drifted ? "warn" : "ok") : "none",
    }),
    more: driftDetail,
  },
  {
    name: "Memory",
    title: "Memory of the process",
    read: ({ memory_bytes: used }) => ({ text: bytes(used), level: (used ?? 0) > 2e9 ? "warn" : "none" }),
    more: processDetail,
  },
];

function lag(value: number | null): string {
  return value === null || value < 1000 ? `${fixed(value, 1)} ms` : duration(value);
}

/** Details that are asked for once, when they are opened. */
const ASKED: readonly Gauge["more"][] = [gapDetail, deadLetterDetail, driftDetail];

/** The strip with all gauges. */
export function health(context: Context): HTMLElement {
  const strip = h("nav", { class: "strip", "aria-label": "Health of the process" });
  for (const gauge of GAUGES) addGauge(strip, gauge, context);
  return strip;
}

function chip(name: string, title: string): { button: HTMLButtonElement; value: HTMLElement } {
  const value = h("span", { class: "chip-value" }, "–");
  const button = h(
    "button",
    { class: "chip", title },
    h("span", { class: "dot", "aria-hidden": "true" }),
    h("span", { class: "chip-name" }, name),
    value,
  );
  return { button, value };
}

function addGauge(strip: HTMLElement, gauge: Gauge, context: Context): void {
  const { button, value } = chip(gauge.name, gauge.title);
  strip.append(button);
  const opened = detail(button, gauge.title, () => gauge.more(context));
  const draw = (state: State): void => {
    const reading = state.status
      ? gauge.read(state.status, state, context.now())
      : { text: "–", level: "none" as const };
    setText(value, reading.text);
    setAttr(button, "data-level", reading.level);
  };
  context.store.onDraw(when(["status", "instrument"], draw));
  context.tick(() => {
    draw(context.store.state);
    if (!ASKED.includes(gauge.more)) opened.refresh();
  });
}
