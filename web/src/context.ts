/** What every panel is given. */

import type { Session } from "./session";
import type { State } from "./state";
import type { Store } from "./store";

export interface Context {
  store: Store;
  session: Session;
  /** The server's time now, ms. */
  now: () => number;
  /** Call back about once a second. */
  tick: (run: () => void) => void;
  /** How many decimals prices of the chosen instrument have. */
  decimals: () => number;
}

/** The base asset of an instrument: what its venues can be compared by. */
export function assetOf(instrument: string): string {
  return instrument.split(/[-.]/, 1)[0] ?? instrument;
}

export type Panel = (context: Context) => HTMLElement;

export function instrumentStatus(state: State): NonNullable<State["status"]>["instruments"][number] | null {
  return state.status?.instruments.find((row) => row.instrument === state.instrument) ?? null;
}
