// Each actuator: what is applied, what was asked, what the guard said, and who holds it. Reading only.

import { card, h, mark, say } from "./dom.js";
import { quantity, words } from "./format.js";

export function verdictClass(verdict) {
  return verdict === "as_asked" ? "ok" : verdict.startsWith("safe") ? "bad" : "warn";
}

export class Actuators {
  constructor(plan, state) {
    this.plan = plan;
    this.state = state;
    this.rows = new Map();
    this.body = h("div", "actuators");
    const hint = h("p", "hint", "Stop everything: ", h("code", "", "agentctl estop"));
    this.element = card("Actuators", "actuators-card");
    this.element.querySelector("h2").append(h("small", "", "behind the guard"));
    this.element.append(this.body, hint);
  }

  takeStatus(status) {
    for (const actuator of status.actuators) {
      const row = this.rows.get(actuator.signal) ?? this.row(actuator);
      row.actuator = actuator;
      say(row.holder, actuator.holder ? `held by ${actuator.holder}` : "held by nobody");
      const count = actuator.interventions_total;
      say(row.count, count ? `guard stepped in ${count.toLocaleString()}×` : "guard never stepped in");
    }
    this.update();
  }

  row(actuator) {
    const value = h("b", "value"), chip = h("span", "chip"), holder = h("span"), count = h("span");
    const zero = h("u"), asked = h("em"), applied = h("i");
    const scale = h("div", "scale", zero, applied, asked);
    const ends = h("div", "ends", h("span", "", quantity(actuator.low, actuator.unit)), h("span", "", quantity(actuator.high, actuator.unit)));
    const element = h("article", "actuator", h("div", "top", h("strong", "", actuator.signal), chip, value), scale, ends, h("div", "foot", holder, count));
    this.body.append(element);
    const row = { element, value, chip, holder, count, zero, asked, applied, actuator };
    this.rows.set(actuator.signal, row);
    return row;
  }

  /** Ten times a second, between two statuses. */
  update() {
    for (const [name, row] of this.rows) {
      const { low, high, safe, unit } = row.actuator;
      const part = (value) => 100 * Math.min(1, Math.max(0, (value - low) / (high - low || 1)));
      const value = this.state.value(name) ?? row.actuator.value;
      const verdict = this.state.verdicts.get(name) ?? row.actuator.verdict;
      const doubt = this.state.connected ? (this.state.stale.has(name) ? "stale" : "") : "lost";
      mark(row.element, "actuator", doubt);
      say(row.value, value === null ? "–" : quantity(Number(value), unit));
      mark(row.chip, "chip", verdictClass(verdict));
      say(row.chip, words(verdict));
      const from = part(Math.min(Math.max(0, low), high)), to = value === null ? from : part(Number(value));
      row.applied.style.left = `${Math.min(from, to)}%`;
      row.applied.style.width = `${Math.max(0.6, Math.abs(to - from))}%`;
      mark(row.applied, "", verdictClass(verdict));
      row.zero.style.left = `${part(safe)}%`;
      row.zero.title = `safe value ${quantity(safe, unit)}`;
      const driver = this.plan.drivers(name)[0];
      const wanted = driver ? this.state.value(driver.asked) : null;
      row.asked.hidden = wanted === null;
      if (wanted !== null) row.asked.style.left = `${part(wanted * driver.scale + driver.offset)}%`;
    }
  }
}
