// Lines over the last half minute, drawn on a canvas; a gap is a gap.

import { Surface, card, colours, h, mark, say } from "./dom.js";
import { number, quantity, unitText } from "./format.js";

const WINDOW_S = 30;
const STYLES = ["a", "b", "c"];
const PAD = { left: 44, right: 10, top: 8, bottom: 20 };

/** Round numbers that cover a range. */
export function ticks(low, high, count) {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i += 1) found.push(i * step);
  return found;
}

/** With as many decimals as tell one tick from the next. */
export function tickText(value, all) {
  const step = all.length > 1 ? all[1] - all[0] : Math.abs(value) || 1;
  let decimals = 0;
  while (decimals < 8 && Math.abs(step * 10 ** decimals - Math.round(step * 10 ** decimals)) > 1e-6) decimals += 1;
  return String(+value.toFixed(decimals)).replace("-", "−");
}

export class Plot {
  constructor(state, { title, unit, series }) {
    this.state = state;
    this.unit = unit;
    this.series = series.map((entry, i) => ({ scale: 1, offset: 0, ...entry, style: STYLES[i % STYLES.length], points: [] }));
    this.surface = new Surface("plot", (context, width, height) => this.draw(context, width, height));
    this.pointer = null;
    this.surface.canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.surface.canvas.addEventListener("pointerleave", () => this.point(null));
    this.legend = h("div", "legend", ...this.series.map((entry) => h("span", `key ${entry.style}`, h("i"), entry.label, h("b"))));
    this.element = card(title, "plot-card");
    this.element.append(this.legend, this.surface.canvas);
  }

  point(x) {
    this.pointer = x;
    this.surface.dirty = true;
  }

  read(entry) {
    if (entry.signal === undefined) return entry.constant;
    const value = this.state.value(entry.signal);
    return value === null || !this.state.fresh(entry.signal) ? null : Number(value) * entry.scale + entry.offset;
  }

  /** The signals whose past is of interest. */
  wants() { return this.series.map((entry) => entry.signal).filter(Boolean); }

  /** What was before the page was opened: for each signal [[time_s, value], ...], oldest first. */
  recall(past) {
    const longest = Object.values(past).reduce((a, b) => (a.length > b.length ? a : b), []);
    for (const entry of this.series) {
      const first = entry.points[0]?.[0] ?? Infinity;
      const points = entry.signal ? past[entry.signal] ?? [] : longest.map(([at]) => [at, entry.constant]);
      const scaled = (value) => (value === null || !entry.signal ? value : Number(value) * entry.scale + entry.offset);
      entry.points = [...points.filter(([at]) => at < first).map(([at, value]) => [at, scaled(value)]), ...entry.points];
    }
    this.surface.dirty = true;
  }

  update() {
    const now = this.state.timeS;
    this.series.forEach((entry, i) => {
      const value = this.read(entry);
      const last = entry.points.at(-1);
      if (last && now - last[0] > 1.5) entry.points.push([last[0] + 0.1, null]);
      entry.points.push([now, value]);
      while (entry.points.length && entry.points[0][0] < now - WINDOW_S - 1) entry.points.shift();
      say(this.legend.children[i].lastChild, value === null ? "–" : number(value));
      mark(this.legend.children[i], `key ${entry.style}`, entry.signal ? this.state.doubt(entry.signal) : "");
    });
    this.surface.dirty = true;
  }

  frame() { this.surface.paint(); }

  range() {
    const values = this.series.flatMap((entry) => entry.points.map((p) => p[1]).filter((v) => v !== null && Number.isFinite(v)));
    if (!values.length) return [0, 1];
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const least = Math.max(Math.abs(high), Math.abs(low), 1e-3) * 0.04;
    if (high - low < least) [low, high] = [low - least, high + least];
    const room = 0.08 * (high - low);
    return [low - room, high + room];
  }

  draw(context, width, height) {
    const colour = colours();
    const now = this.state.timeS;
    const [low, high] = this.range();
    const x = (at) => PAD.left + (at - now + WINDOW_S) / WINDOW_S * (width - PAD.left - PAD.right);
    const y = (value) => height - PAD.bottom - (value - low) / (high - low) * (height - PAD.top - PAD.bottom);
    this.grid(context, colour, width, height, low, high, x, y, now);
    context.save();
    context.beginPath();
    context.rect(PAD.left, 0, width - PAD.left - PAD.right, height - PAD.bottom);
    context.clip();
    context.lineJoin = "round";
    for (const entry of this.series) this.line(context, entry, colour[entry.style], x, y);
    context.restore();
    if (this.pointer !== null && this.pointer > PAD.left) this.readout(context, colour, width, height, x, now);
  }

  grid(context, colour, width, height, low, high, x, y, now) {
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colour.muted;
    context.strokeStyle = colour.line;
    context.lineWidth = 1;
    context.textAlign = "right";
    context.textBaseline = "middle";
    const all = ticks(low, high, Math.max(2, Math.floor(height / 36)));
    for (const value of all) {
      context.beginPath();
      context.moveTo(PAD.left, Math.round(y(value)) + 0.5);
      context.lineTo(width - PAD.right, Math.round(y(value)) + 0.5);
      context.stroke();
      context.fillText(tickText(value, all), PAD.left - 7, y(value));
    }
    context.textBaseline = "alphabetic";
    context.textAlign = "center";
    for (const back of [30, 20, 10]) context.fillText(`−${back} s`, Math.max(x(now - back), PAD.left + 8), height - 5);
    context.textAlign = "right";
    context.fillText(this.unit ? `now · ${unitText(this.unit)}` : "now", width - PAD.right, height - 5);
  }

  line(context, entry, style, x, y) {
    const wished = entry.label === "setpoint";
    context.strokeStyle = style;
    context.globalAlpha = entry.label === "asked" ? 0.4 : 1;
    context.lineWidth = entry.label === "asked" ? 5 : wished ? 1.25 : 1.75;  // what was asked shines through from behind
    context.setLineDash(wished ? [5, 4] : []);
    context.beginPath();
    let pen = false;
    for (const [at, value] of entry.points) {
      if (value === null) { pen = false; continue; }
      if (pen) context.lineTo(x(at), y(value)); else context.moveTo(x(at), y(value));
      pen = true;
    }
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  readout(context, colour, width, height, x, now) {
    const at = now - WINDOW_S + (this.pointer - PAD.left) / (width - PAD.left - PAD.right) * WINDOW_S;
    const lines = [`−${(now - at).toFixed(1)} s`];
    for (const entry of this.series) {
      const near = entry.points.reduce((best, p) => (Math.abs(p[0] - at) < Math.abs((best?.[0] ?? Infinity) - at) ? p : best), null);
      if (near) lines.push(`${entry.label} ${near[1] === null ? "–" : quantity(near[1], this.unit)}`);
    }
    context.strokeStyle = colour.muted;
    context.beginPath();
    context.moveTo(this.pointer + 0.5, PAD.top);
    context.lineTo(this.pointer + 0.5, height - PAD.bottom);
    context.stroke();
    context.font = "11.5px system-ui, sans-serif";
    context.textAlign = "left";
    const wide = Math.max(...lines.map((text) => context.measureText(text).width)) + 14;
    const left = this.pointer + wide + 12 > width ? this.pointer - wide - 8 : this.pointer + 8;
    context.fillStyle = colour.card;
    context.strokeStyle = colour.line;
    context.beginPath();
    context.roundRect(left, PAD.top, wide, 16 * lines.length + 8, 6);
    context.fill();
    context.stroke();
    context.fillStyle = colour.ink;
    lines.forEach((text, i) => context.fillText(text, left + 7, PAD.top + 16 * (i + 1)));
  }
}
