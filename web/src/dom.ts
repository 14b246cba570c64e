/** Small helpers over the DOM. Text is always text: nothing here reads markup. */

type Child = Node | string | null | false;
type Props = Record<string, string | number | boolean | EventListener | null | undefined>;

function apply(node: Element, props: Props): void {
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key, value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
}

/** Make an element: attributes and listeners by name, then its children. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  apply(node, props);
  node.append(...children.filter((child): child is Node | string => child !== null && child !== false));
  return node;
}

/** Make an element of SVG. */
export function svg(tag: string, props: Props = {}, ...children: Node[]): SVGElement {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  apply(node, props);
  node.append(...children);
  return node;
}

/** Set a node's text, touching the DOM only where it changes. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Set an attribute, touching the DOM only where it changes. */
export function setAttr(node: Element, name: string, value: string | null): void {
  if (value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A table of text with a caption for those who cannot see where it stands. */
export function table(caption: string, heads: readonly string[], rows: readonly (readonly Child[])[]): HTMLElement {
  const numeric = heads.map((head) => head.endsWith("#"));
  const cell = (child: Child, column: number): HTMLElement =>
    h("td", { class: numeric[column] ? "number" : null }, child ?? "");
  return h(
    "div",
    { class: "table-scroll", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "hidden" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          ...heads.map((head) =>
            h("th", { scope: "col", class: head.endsWith("#") ? "number" : null }, head.replace("#", "")),
          ),
        ),
      ),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(cell)))),
    ),
  );
}

/** A line that says, in a panel that has nothing to show, why. */
export function empty(title: string, detail: string): HTMLElement {
  return h("div", { class: "empty" }, h("strong", {}, title), h("span", {}, detail));
}
