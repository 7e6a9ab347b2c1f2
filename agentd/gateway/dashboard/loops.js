// Each loop: does it run, at what rate, how late it wakes, how long it takes, and what its parts take.

import { card, h, mark, say } from "./dom.js";
import { micros, number, percent } from "./format.js";

const HEADS = ["", "state", "rate", "wake late by", "a tick takes", "of its period", "missed", "skipped", "restarts"];
const GOOD = { running: "ok", starting: "warn", "backing off": "warn", latched: "bad", stopped: "bad" };
const PART_GOOD = { ok: "ok", waiting: "", degraded: "warn", quarantined: "bad" };

const three = (q) => [q.p50_us, q.p99_us, q.p999_us].map((us) => (q.max_us > 0 ? micros(us) : "–"));

function quantiles() {
  const cells = ["p50", "p99", "p99.9"].map((name) => h("span", "q", h("small", "", name), h("b")));
  return h("div", "quantiles", ...cells);
}

export class Loops {
  constructor(plan, state) {
    this.plan = plan;
    this.state = state;
    this.rows = new Map();
    this.body = h("div", "loops");
    this.element = card("Loops", "loops-card", []);
    this.element.querySelector("h2").append(h("small", "", "the last minute"));
    this.element.append(this.body);
  }

  row(loop) {
    const cells = HEADS.map((head, i) => h("div", `cell c${i}`, h("span", "head", head)));
    cells[0].replaceChildren(h("strong", "", loop.name), h("span", "rt"));
    cells[1].append(h("span", "chip"));
    for (const i of [3, 4]) cells[i].append(quantiles());
    for (const i of [2, 6, 7, 8]) cells[i].append(h("b", "number"));
    cells[5].append(h("div", "budget", h("i"), h("em")), h("b", "number"));
    const why = h("p", "why"), parts = h("div", "parts"), miss = h("p", "miss");
    const element = h("article", "loop", h("div", "cells", ...cells), why, parts, miss);
    this.body.append(element);
    const row = { element, cells, why, parts, miss, partRows: new Map() };
    this.rows.set(loop.name, row);
    return row;
  }

  takeStatus(status) {
    for (const [name, row] of this.rows) {
      if (!status.loops.some((loop) => loop.name === name)) { row.element.remove(); this.rows.delete(name); }
    }
    for (const loop of status.loops) this.show(this.rows.get(loop.name) ?? this.row(loop), loop);
  }

  show(row, loop) {
    const { cells } = row;
    mark(row.element, "loop", loop.state === "running" ? "" : "halted");
    say(cells[0].lastChild, loop.realtime ? "real-time" : "");
    const chip = cells[1].lastChild;
    mark(chip, "chip", GOOD[loop.state] ?? "warn");
    say(chip, loop.state);
    say(cells[2].lastChild, loop.rate_hz ? `${number(loop.measured_hz)} of ${number(loop.rate_hz)}\u202fHz` : "on events");
    [loop.wake, loop.duration].forEach((quantile, i) => {
      three(quantile).forEach((text, j) => say(cells[3 + i].lastChild.children[j].lastChild, text));
    });
    const share = loop.rate_hz * loop.duration.p99_us / 1e6;
    const [bar, peak] = cells[5].querySelector(".budget").children;
    bar.style.width = `${Math.min(100, 100 * share)}%`;
    peak.style.left = `${Math.min(100, loop.rate_hz * loop.duration.max_us / 1e4)}%`;
    mark(bar, "", share > 0.9 ? "bad" : share > 0.6 ? "warn" : "");
    say(cells[5].lastChild, loop.rate_hz && loop.duration.max_us ? percent(100 * share) : "–");
    [loop.missed_total, loop.skipped_total, loop.restarts_total].forEach((count, i) => {
      say(cells[6 + i].lastChild, String(count));
      mark(cells[6 + i].lastChild, "number", count ? "some" : "");
    });
    say(row.why, [loop.why, ...loop.notes].filter(Boolean).join(" · "));
    say(row.miss, loop.last_miss ? `last miss: ${loop.last_miss}` : "");
    this.showParts(row, loop);
  }

  showParts(row, loop) {
    const worst = Math.max(1, ...loop.parts.map((part) => part.duration.p99_us));
    for (const part of loop.parts) {
      let line = row.partRows.get(part.name);
      if (!line) {
        const name = h("span", "name", part.name, h("small", "", part.use));
        line = h("div", "part", name, h("div", "share", h("i")), h("span", "took"), h("span", "state"));
        if (part.simulated) name.append(h("span", "tag simulated", "simulated"));
        row.partRows.set(part.name, line);
        row.parts.append(line);
      }
      const [, share, took, state] = line.children;
      share.firstChild.style.width = `${100 * part.duration.p99_us / worst}%`;
      const [p50, p99] = three(part.duration);
      say(took, p50 === "–" ? "–" : `${p50} · p99 ${p99}`);
      mark(state, "state", PART_GOOD[part.state] ?? "warn");
      say(state, part.state === "ok" ? "" : `${part.state}${part.why ? `: ${part.why}` : ""}`);
    }
  }

  /** How long a loop has been silent shows at once, not only with the next status. */
  update() {
    for (const [name, row] of this.rows) {
      const beat = this.state.loops[name];
      const rate = this.plan.loops.find((loop) => loop.name === name)?.rate_hz ?? 0;
      const silent = rate > 0 && beat && beat.age_s > Math.max(1, 3 / rate);
      mark(row.cells[2].lastChild, "number", !this.state.connected ? "lost" : silent ? "stale" : "");
      if (silent) say(row.cells[2].lastChild, `silent for ${number(beat.age_s)}\u202fs`);
    }
  }
}
