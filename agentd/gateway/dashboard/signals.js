// Every signal, in a table that is only kept up to date while it is open.

import { h, mark, say } from "./dom.js";
import { quantity, reasonText, span, words } from "./format.js";

const EVERY_MS = 1000;

export class Signals {
  constructor(plan, state) {
    this.plan = plan;
    this.state = state;
    this.rows = new Map();
    this.search = h("input", "search");
    Object.assign(this.search, { type: "search", placeholder: "filter, such as robot." });
    this.search.setAttribute("aria-label", "filter signals");
    this.search.addEventListener("input", () => this.filter());
    this.body = h("tbody");
    const heads = h("tr", "", ...["signal", "value", "age", "owner", "loop"].map((text) => h("th", "", text)));
    const table = h("table", "signals", h("thead", "", heads), this.body);
    this.details = h("details", "card signals-card", h("summary", "", h("h2", "", "All signals")), this.search, h("div", "scroll", table));
    this.element = this.details;
    this.details.addEventListener("toggle", () => this.load());
    setInterval(() => this.load(), EVERY_MS);
    say(this.details.querySelector("h2"), `All signals (${plan.signals.size})`);
  }

  async load() {
    if (!this.details.open || document.hidden) return;
    const answer = await fetch("/api/v1/signals").catch(() => null);
    for (const row of this.rows.values()) mark(row, "", answer?.ok ? "" : "lost");
    if (!answer?.ok) return;
    for (const signal of (await answer.json()).signals) this.show(signal);
    this.filter();
  }

  show(signal) {
    let row = this.rows.get(signal.name);
    if (!row) {
      row = h("tr", "", h("th", "", signal.name), ...Array.from({ length: 4 }, () => h("td")));
      row.title = signal.doc;
      this.rows.set(signal.name, row);
      this.body.append(row);
    }
    const [, value, age, owner, loop] = row.children;
    const array = signal.type === "array" ? `${signal.dtype} ${signal.shape.join("×")}` : quantity(signal.value, signal.unit);
    say(value, signal.reason ? reasonText(signal.reason) : array);
    mark(value, "", signal.reason ? "absent" : signal.stale ? "stale" : "");
    say(age, signal.age_s === null ? "–" : signal.age_s < 2 ? `${Math.round(1000 * signal.age_s)}\u202fms` : span(signal.age_s));
    say(owner, `${signal.owner_kind}${signal.verdict ? ` · ${words(signal.verdict)}` : ""}`);
    say(loop, signal.loop);
  }

  filter() {
    const wanted = this.search.value.trim().toLowerCase();
    for (const [name, row] of this.rows) row.hidden = !name.includes(wanted);
  }
}
