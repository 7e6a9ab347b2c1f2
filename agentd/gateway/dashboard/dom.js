// Elements without a framework. Text is always set as text, never as markup.

/** h("div", "card wide", child, "text", ...) */
export function h(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A panel with a title; `notes` are small labels beside it. */
export function card(title, className = "", notes = []) {
  const tags = h("div", "tags", ...notes.map((note) => h("span", `tag ${note}`, note)));
  const element = h("section", `card ${className}`, h("header", "", h("h2", "", title), tags));
  element.tags = tags;
  return element;
}

/** Set text only when it differs: no layout for nothing. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set the class of an element that carries a state. */
export function mark(element, base, state) {
  const wanted = state ? `${base} ${state}` : base;
  if (element.className !== wanted) element.className = wanted;
}

const scheme = matchMedia("(prefers-color-scheme: dark)");
let known = null;
scheme.addEventListener("change", () => { known = null; });

/** The theme's colours, for canvases. */
export function colours() {
  if (known === null) {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "muted", "line", "card", "lane", "a", "b", "c", "ok", "warn", "bad", "slow", "fast"];
    known = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return known;
}

/** A canvas that fills its box; `draw(context, width, height)` gets CSS pixels. */
export class Surface {
  constructor(className, draw) {
    this.canvas = h("canvas", className);
    this.draw = draw;
    this.dirty = true;
    new ResizeObserver(() => this.fit()).observe(this.canvas);
    scheme.addEventListener("change", () => { this.dirty = true; });
  }

  fit() {
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    const { width, height } = this.canvas.getBoundingClientRect();
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.ratio = ratio;
    this.dirty = true;
  }

  paint() {
    if (!this.dirty || !this.canvas.width) return;
    this.dirty = false;
    const context = this.canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const [width, height] = [this.canvas.width / this.ratio, this.canvas.height / this.ratio];
    context.clearRect(0, 0, width, height);
    this.draw(context, width, height);
  }
}
