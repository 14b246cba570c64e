/** What each part of the health strip opens. */

import * as api from "../api";
import { asked } from "../asked";
import type { Context } from "../context";
import { empty, h, table } from "../dom";
import { bytes, compact, duration, fixed, instant } from "../format";
import { ms, type GapRow } from "../wire";

export type Level = "ok" | "warn" | "bad" | "none";

const VENUE_LEVEL: Record<string, Level> = { live: "ok", healing: "ok", subscribing: "warn", connecting: "warn" };

export function levelOfVenue(state: string): Level {
  return VENUE_LEVEL[state] ?? "bad";
}

/** Trades a second: one decimal while they are few. */
export function perSecond(rate: number): string {
  return rate < 10 ? fixed(rate, 1) : compact(Math.round(rate));
}

export function venueDetail({ store, now }: Context): HTMLElement {
  const venues = store.state.status?.venues ?? [];
  if (!venues.length) return empty("No venue is followed", "This process reads a stored database only.");
  const rows = venues.map((venue) => [
    h("span", { class: "state", "data-level": levelOfVenue(venue.state) }, `${venue.venue} ${venue.feed ?? ""}`),
    venue.state,
    duration(now() - ms(venue.since)),
    venue.reason ?? "",
    age(venue.last_message, now()),
    venue.skew_ms === null ? "–" : `${fixed(venue.skew_ms, 0)} ms`,
    compact(venue.messages),
    compact(venue.malformed),
    `${compact(venue.connects)} / ${compact(venue.disconnects)}`,
  ]);
  const heads = [
    "Venue",
    "State",
    "Since#",
    "Why",
    "Last message#",
    "Clock skew#",
    "Messages#",
    "Malformed#",
    "Connects / losses#",
  ];
  return table("Connections to venues", heads, rows);
}

function age(text: string | null, now: number): string {
  return text ? duration(now - ms(text)) : "none";
}

export function instrumentDetail({ store, now }: Context): HTMLElement {
  const rows = (store.state.status?.instruments ?? []).map((row) => [
    row.instrument,
    row.trades_per_second === null ? "–" : perSecond(row.trades_per_second),
    age(row.last_trade, now()),
    compact(row.pending),
    `${row.gaps.open} / ${row.gaps.healed} / ${row.gaps.unhealable}`,
    compact(row.late),
    compact(row.dead_letters),
  ]);
  const heads = [
    "Instrument",
    "Trades/s#",
    "Last trade#",
    "Waiting#",
    "Gaps open / healed / lost#",
    "Late#",
    "Dead letters#",
  ];
  return rows.length ? table("Instruments", heads, rows) : empty("No instrument is followed", "Nothing is coming in.");
}

export function latencyDetail({ store }: Context): HTMLElement {
  const stages = Object.entries(store.state.status?.latency_ms ?? {});
  if (!stages.length) return empty("Not measured yet", "Stages are timed once trades come in.");
  const cell = (value: number | null): string => (value === null ? "–" : `${fixed(value, 2)} ms`);
  return table(
    "Lag by stage",
    ["Stage", "p50#", "p99#", "Measured#"],
    stages.map(([stage, said]) => [stage.replaceAll("_", " "), cell(said.p50), cell(said.p99), compact(said.count)]),
  );
}

export function processDetail({ store }: Context): HTMLElement {
  const status = store.state.status;
  if (!status) return empty("Not known", "The process has not told its status yet.");
  const shed = Object.entries(status.shed).map(([channel, count]) => [
    `Not sent to slow readers: ${channel}`,
    compact(count),
  ]);
  const queue = status.queue ? `${status.queue.length} of ${status.queue.limit}` : "–";
  return table(
    "Process",
    ["What", "Value#"],
    [
      ["Version", status.version],
      ["Started", instant(ms(status.started), "full", store.state.zone)],
      ["Memory", bytes(status.memory_bytes)],
      ["Deliveries waiting for the disk", queue],
      ...shed,
    ],
  );
}

const GAP_LEVEL: Record<GapRow["status"], Level> = { open: "warn", unhealable: "bad", healed: "none" };
/** What matters most comes first. */
const STANDING = Object.keys(GAP_LEVEL);

export function gapDetail({ store }: Context): HTMLElement {
  const { zone } = store.state;
  return asked(api.list<GapRow>("gaps", {}), (rows) =>
    rows.length
      ? table(
          "Gaps",
          ["Instrument", "First missing#", "Last missing#", "Count#", "Status", "After#", "Before#"],
          rows
            .toSorted((one, other) => STANDING.indexOf(one.status) - STANDING.indexOf(other.status))
            .map((gap) => [
              gap.instrument,
              String(gap.first_missing),
              String(gap.last_missing),
              compact(gap.count),
              h("span", { class: "state", "data-level": GAP_LEVEL[gap.status] }, gap.status),
              instant(ms(gap.from_time), "full", zone),
              instant(ms(gap.to_time), "full", zone),
            ]),
        )
      : empty("No gap", "Every trade id is there, where the venue counts them without holes."),
  );
}

interface DeadLetter {
  source: string;
  instrument: string | null;
  kind?: string;
  reason: string;
  ts_init: string;
}

export function deadLetterDetail({ store }: Context): HTMLElement {
  const { zone } = store.state;
  return asked(api.get<api.Page<DeadLetter>>("dead-letters", { limit: 100 }), ({ items: rows }) =>
    rows.length
      ? table(
          "Dead letters",
          ["Seen#", "Source", "Instrument", "Reason"],
          rows
            .toReversed()
            .map((row) => [
              instant(ms(row.ts_init), "full", zone),
              row.source,
              row.instrument?.length ? row.instrument : "–",
              h("span", { class: "wrapped" }, row.reason),
            ]),
        )
      : empty("No dead letter", "Every message could be read."),
  );
}
