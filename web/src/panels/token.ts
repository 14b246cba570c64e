/** Changes are made by people who hold the token; the page keeps it only while it is open. */

import { Problem } from "../api";
import { h, setText } from "../dom";

let kept = "";

/** Ask for the token, do one thing with it, and say how that went. */
export function tokenDialog(label: string, text: string, run: (token: string) => Promise<void>): void {
  if (document.querySelector("dialog.token[open]")) return;
  const input = h("input", { type: "password", autocomplete: "off", required: true, id: "token", value: kept });
  const told = h("p", { class: "problem", role: "alert" });
  const cancel = h("button", { type: "button", class: "quiet" }, "Cancel");
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id: "token-title" }, label),
    h("p", {}, text),
    h("label", { for: "token" }, "Token (TAPELINE_TOKEN of the process)"),
    input,
    told,
    h("div", { class: "actions" }, cancel, h("button", { type: "submit", class: "chief" }, label)),
  );
  const dialog = h("dialog", { "aria-labelledby": "token-title", class: "token" }, form);
  const submit = async (): Promise<void> => {
    try {
      await run(input.value);
      kept = input.value;
      dialog.close();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      setText(told, error.message);
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void submit();
  });
  cancel.addEventListener("click", () => {
    dialog.close();
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}
