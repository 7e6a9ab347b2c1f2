// Values of a device as tiles. The host's own get meters where a whole is known.

import { Surface, card, colours, h, mark, say } from "./dom.js";
import { bytes, number, quantity, reasonText, words } from "./format.js";

const HISTORY = 120;

// What the host's values mean together: [title, value, the whole or "percent", unit is taken from the plan].
const HOST = [
  { title: "CPU", value: "cpu_use", full: 100, spark: true },
  { title: "Memory used", value: "memory_total", minus: "memory_available", of: "memory_total" },
  { title: "Disk used", value: "disk_used", plus: "disk_free", of: "disk_used" },
  { title: "Load", value: "load_1m", also: ["load_5m", "load_15m"], spark: true },
  { title: "CPU temperature", value: "cpu_temperature", spark: true },
  { title: "Waiting for CPU", value: "pressure_cpu", full: 100 },
  { title: "Waiting for disk", value: "pressure_io", full: 100 },
  { title: "Waiting for memory", value: "pressure_memory", full: 100 },
  { title: "Received", value: "network_received", spark: true },
  { title: "Sent", value: "network_sent", spark: true },
];

const title = (name) => words(name).replace(/^./, (letter) => letter.toUpperCase());

class Tile {
  constructor(panel, spec) {
    this.panel = panel;
    this.spec = spec;
    this.also = (spec.also ?? []).filter((name) => panel.plan.signals.has(panel.full(name)));
    this.history = [];
    this.value = h("b", "value");
    this.detail = h("small", "detail");
    this.meter = h("i");
    this.spark = spec.spark ? new Surface("spark", (context, width, height) => this.drawSpark(context, width, height)) : null;
    const foot = this.spark ? this.spark.canvas : spec.full || spec.of ? h("div", "meter", this.meter) : null;
    this.element = h("div", "tile", h("span", "title", spec.title), this.value, this.detail, foot);
  }

  read(name) { return name ? this.panel.state.value(this.panel.full(name)) : null; }

  update() {
    const { spec } = this;
    const name = this.panel.full(spec.value);
    const doubt = this.panel.state.doubt(name);
    mark(this.element, "tile", doubt);
    const raw = this.read(spec.value);
    if (raw === null) {
      say(this.value, "–");
      say(this.detail, reasonText(this.panel.state.reasons.get(name) ?? "not_yet"));
      this.meter.style.width = "0";
      return;
    }
    const value = spec.minus ? raw - (this.read(spec.minus) ?? 0) : raw;
    say(this.value, quantity(value, this.panel.plan.unit(name)));
    const whole = spec.of ? this.read(spec.of) + (this.read(spec.plus) ?? 0) : spec.full;
    say(this.detail, spec.of ? `of ${bytes(whole)}` : this.also.map((other) => number(this.read(other))).join(" · "));
    const share = whole ? value / whole : 0;
    this.meter.style.width = `${Math.min(100, 100 * share)}%`;
    mark(this.meter, "", share > 0.95 ? "bad" : share > 0.85 ? "warn" : "");
    this.history.push(Number(value));
    if (this.history.length > HISTORY) this.history.shift();
    if (this.spark) this.spark.dirty = true;
  }

  recall(points) {
    const values = points.map(([, value]) => value).filter((value) => value !== null).map(Number);
    this.history = [...values.slice(0, -Math.max(1, this.history.length)), ...this.history].slice(-HISTORY);
    if (this.spark) this.spark.dirty = true;
  }

  drawSpark(context, width, height) {
    if (this.history.length < 2) return;
    const high = Math.max(...this.history, 1e-9), low = Math.min(0, ...this.history);
    const x = (i) => width - (this.history.length - 1 - i) / (HISTORY - 1) * width;
    const y = (value) => height - 1.5 - (value - low) / (high - low) * (height - 3);
    context.beginPath();
    this.history.forEach((value, i) => context.lineTo(x(i), y(value)));
    context.strokeStyle = colours().a;
    context.lineWidth = 1.5;
    context.stroke();
    context.lineTo(width, height);
    context.lineTo(x(0), height);
    context.globalAlpha = 0.12;
    context.fillStyle = colours().a;
    context.fill();
    context.globalAlpha = 1;
  }
}

export class Tiles {
  constructor(plan, state, device) {
    this.plan = plan;
    this.state = state;
    this.device = device;
    const host = device.driver === "linux.host";
    const signals = (device.signals ?? []).filter((signal) => signal.type !== "array" && signal.role !== "actuator");
    const known = host ? HOST.filter((spec) => plan.signals.has(this.full(spec.value))) : [];
    const taken = new Set(known.flatMap((spec) => [spec.value, spec.minus, spec.plus, ...(spec.also ?? [])]));
    const rest = signals.map((signal) => signal.name.slice(device.name.length + 1)).filter((name) => !taken.has(name));
    this.tiles = [...known, ...rest.map((name) => ({ title: title(name), value: name, spark: !host }))].map((spec) => new Tile(this, spec));
    this.element = card(device.name, "tiles-card", [device.simulated ? "simulated" : host ? "this machine" : "hardware"]);
    this.element.querySelector("h2").append(h("small", "", device.driver));
    this.element.append(h("div", "tiles", ...this.tiles.map((tile) => tile.element)));
    this.tick = null;
  }

  full(name) { return `${this.device.name}.${name}`; }

  wants() { return this.tiles.filter((tile) => tile.spark).map((tile) => this.full(tile.spec.value)); }

  recall(past) {
    for (const tile of this.tiles) tile.recall(past[this.full(tile.spec.value)] ?? []);
  }

  /** One look a tick of the device's own loop, at most one a second. */
  update() {
    const tick = this.state.loops[this.device.loop]?.tick;
    const now = Math.floor(this.state.timeS);
    if (this.state.connected && (tick === this.tick || now === this.second)) return;
    [this.tick, this.second] = [tick, now];
    for (const tile of this.tiles) tile.update();
  }

  frame() {
    for (const tile of this.tiles) tile.spark?.paint();
  }
}
