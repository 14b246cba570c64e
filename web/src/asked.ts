/** An answer that is asked for once, when somebody opens what shows it. */

import { empty, h } from "./dom";

/** Show an answer when it is there, and why not when it is not. */
export function asked<Value>(answer: Promise<Value>, show: (value: Value) => HTMLElement): HTMLElement {
  const body = h("div", {}, "Asking…");
  answer.then(
    (value) => {
      body.replaceChildren(show(value));
    },
    (error: unknown) => {
      const why = error instanceof Error ? error.message : "the process does not answer";
      body.replaceChildren(empty("Cannot be told", why));
    },
  );
  return body;
}
