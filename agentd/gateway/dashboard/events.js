// What happens, newest first. The same thing again and again is one line with a count.

import { card, h, mark, say } from "./dom.js";
import { clock, words } from "./format.js";

const MOST = 80;
const FILTERS = { everything: null, guard: ["guard"], misses: ["miss"], faults: ["device", "agent", "worker", "quarantine", "latch", "estop"] };

/** The subject stands beside the message already. */
const text = (event) => event.message.replace(`${event.subject}: `, "");
const likeness = (event) => [event.kind, event.subject, event.data?.verdict ?? event.data?.cause ?? event.message].join("|");

export class Events {
  constructor() {
    this.entries = [];
    this.filter = "everything";
    this.seen = 0;
    this.list = h("ol", "events");
    this.note = h("p", "empty", "nothing has happened yet");
    this.element = card("What happens", "events-card");
    const chips = Object.keys(FILTERS).map((name) => {
      const button = h("button", "filter", name);
      button.type = "button";
      button.addEventListener("click", () => this.choose(name));
      return button;
    });
    this.chips = h("div", "filters", ...chips);
    this.element.querySelector("header").append(this.chips);
    this.element.append(h("div", "stage plain scroll", this.list, this.note));
    this.choose("everything");
  }

  choose(name) {
    this.filter = name;
    for (const chip of this.chips.children) {
      mark(chip, "filter", chip.textContent === name ? "on" : "");
      chip.setAttribute("aria-pressed", String(chip.textContent === name));
    }
    this.draw();
  }

  wanted(event) { return FILTERS[this.filter] === null || FILTERS[this.filter].includes(event.kind); }

  add(event, draw = true) {
    if (event.id <= this.seen) return;
    this.seen = event.id;
    const same = this.entries.slice(0, 6).findIndex((entry) => entry.like === likeness(event));
    const count = same >= 0 ? this.entries.splice(same, 1)[0].count + 1 : 1;
    this.entries.unshift({ event, like: likeness(event), count });
    this.entries.length = Math.min(this.entries.length, 4 * MOST);
    if (draw && this.wanted(event)) this.drawSoon();
  }

  addAll(events) {
    for (const event of events) this.add(event, false);
    this.draw();
  }

  /** The daemon dropped some because this page was too slow. */
  dropped(count) {
    this.entries.unshift({ event: { kind: "record", subject: "page", message: `${count} events were left out: this page was too slow`, utc_ns: Date.now() * 1e6 }, like: `dropped${this.seen}`, count: 1 });
    this.drawSoon();
  }

  drawSoon() {
    if (this.pending) return;
    this.pending = setTimeout(() => { this.pending = null; this.draw(); }, 150);
  }

  draw() {
    const shown = this.entries.filter((entry) => this.wanted(entry.event)).slice(0, MOST);
    this.list.replaceChildren(...shown.map(({ event, count }) => {
      const line = h("li", event.severity ?? "info", h("time", "", clock(event.utc_ns)), h("span", `kind k-${event.data?.verdict === "as_asked" ? "well" : event.kind}`, words(event.kind)),
        h("strong", "", event.subject), h("span", "text", text(event)));
      if (count > 1) line.append(h("span", "count", `×${count}`));
      return line;
    }));
    this.note.hidden = shown.length > 0;
    say(this.note, this.entries.length ? `no ${this.filter} so far` : "nothing has happened yet");
  }
}
