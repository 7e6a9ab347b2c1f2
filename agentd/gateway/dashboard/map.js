// A device on its track: the centre line, the way it came (coloured by its speed), and where it is.

import { Surface, card, colours, h, mark, say } from "./dom.js";
import { number, quantity } from "./format.js";

const ARRAYS = { float32: Float32Array, float64: Float64Array };
const TRAIL_S = 25;
const LANE_M = 0.2;
const MARGIN_PX = 26;
const FRAME_MS = 30;
const JUMP_M = 0.03;  // further than its speed explains: somebody put it there

/** A colour between two of the form #rrggbb. */
function mix(from, to, part) {
  const channel = (text, i) => parseInt(text.slice(1 + 2 * i, 3 + 2 * i), 16);
  return `rgb(${[0, 1, 2].map((i) => Math.round(channel(from, i) * (1 - part) + channel(to, i) * part)).join(" ")})`;
}

export class TrackMap {
  constructor(plan, state, device) {
    this.state = state;
    this.plan = plan;
    this.device = device;
    this.points = [];
    this.trail = [];
    this.from = this.to = null;
    this.version = null;
    this.paintedAt = 0;
    this.surface = new Surface("map", (context, width, height) => this.draw(context, width, height));
    this.facts = h("dl", "facts");
    this.legend = h("div", "ramp", h("span"), h("i"), h("span"));
    this.note = h("p", "empty", "waiting for the track …");
    const box = h("div", "stage", this.surface.canvas, this.note, this.legend);
    this.element = card(`${device.name} on its track`, "map-card", device.simulated ? ["simulated"] : []);
    this.element.append(box, this.facts);
  }

  name(signal) { return `${this.device.name}.${signal}`; }

  pose() {
    const [x, y, heading] = ["x", "y", "heading"].map((name) => this.state.value(this.name(name)));
    return x === null || y === null || heading === null ? null : { x, y, heading };
  }

  wants() {
    const speed = ["speed_measured", "speed"].map((name) => this.name(name)).filter((name) => this.plan.signals.has(name));
    return [...["x", "y", "heading"].map((name) => this.name(name)), ...speed.slice(0, 1)];
  }

  /** The way it came before the page was opened. */
  recall(past) {
    const [xs, ys, , speeds] = this.wants().map((name) => past[name] ?? []);
    const first = this.trail[0]?.at ?? Infinity;
    const earlier = xs.map(([at, x], i) => ({ at, x, y: ys[i]?.[1] ?? null, speed: speeds?.[i]?.[1] ?? null }));
    this.trail.unshift(...earlier.filter((p) => p.at < first && p.x !== null && p.y !== null));
  }

  /** New values came. */
  update() {
    const version = `${this.state.loops[this.device.loop]?.generation}:${this.state.value(this.name("track"))}`;
    if (version !== this.version && this.state.value(this.name("track")) !== null) {
      this.version = version;
      this.load();
    }
    const pose = this.pose();
    if (pose && this.state.fresh(this.name("x"))) {
      const now = performance.now();
      this.from = this.to ? this.shown(now) : pose;
      this.fromAt = now;
      this.to = pose;
      const speed = this.state.value(this.name("speed_measured")) ?? this.state.value(this.name("speed"));
      const last = this.trail.at(-1);
      this.trail.push({ ...pose, speed, at: this.state.timeS });
      while (this.trail[0].at < this.state.timeS - TRAIL_S) this.trail.shift();
    }
    this.tell();
    this.surface.dirty = true;
  }

  tell() {
    const facts = [];
    for (const [label, signal] of [["speed", "speed_measured"], ["lap", "lap"], ["last lap", "lap_time"], ["of the lap", "progress"]]) {
      const name = this.name(signal);
      if (!this.plan.signals.has(name)) continue;
      const value = this.state.value(name);
      const text = signal === "progress" && value !== null ? `${Math.round(100 * value)}%` : quantity(value, this.plan.unit(name));
      facts.push([label, text, this.state.doubt(name)]);
    }
    if (this.facts.children.length !== facts.length) {
      this.facts.replaceChildren(...facts.map(([label]) => h("div", "", h("dt", "", label), h("dd"))));
    }
    facts.forEach(([, text, doubt], i) => {
      say(this.facts.children[i].lastChild, text);
      mark(this.facts.children[i].lastChild, "", doubt);
    });
  }

  async load() {
    const answer = await fetch(`/api/v1/signals/${this.name("track")}?format=raw`).catch(() => null);
    const type = ARRAYS[answer?.headers.get("X-Dtype")];
    if (!answer?.ok || !type) { this.version = null; return; }
    const flat = new type(await answer.arrayBuffer());
    this.points = [];
    for (let i = 0; i + 1 < flat.length; i += 2) this.points.push({ x: flat[i], y: flat[i + 1] });
    this.note.hidden = this.points.length > 1;
    this.surface.dirty = true;
  }

  /** Where to draw it now: between the last two places, so that it glides. */
  shown(now) {
    const part = Math.min(1, (now - this.fromAt) / 110);
    const turn = Math.atan2(Math.sin(this.to.heading - this.from.heading), Math.cos(this.to.heading - this.from.heading));
    return {
      x: this.from.x + part * (this.to.x - this.from.x),
      y: this.from.y + part * (this.to.y - this.from.y),
      heading: this.from.heading + part * turn,
    };
  }

  frame(now) {
    if (this.to && now - this.fromAt < 250 && now - this.paintedAt > FRAME_MS) this.surface.dirty = true;
    if (this.surface.dirty) this.paintedAt = now;
    this.surface.paint();
  }

  draw(context, width, height) {
    if (this.points.length < 2) return;
    const xs = this.points.map((p) => p.x), ys = this.points.map((p) => p.y);
    const [left, right, bottom, top] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const room = LANE_M / 2;
    const scale = Math.min((width - 2 * MARGIN_PX) / (right - left + 2 * room), (height - 2 * MARGIN_PX) / (top - bottom + 2 * room));
    const at = (p) => [width / 2 + (p.x - (left + right) / 2) * scale, height / 2 - (p.y - (bottom + top) / 2) * scale];
    const colour = colours();
    context.lineJoin = context.lineCap = "round";
    this.path(context, at, colour.lane, LANE_M * scale);
    this.path(context, at, colour.line, Math.max(1.5, 0.025 * scale));
    this.startLine(context, at, colour, scale);
    this.drawTrail(context, at, colour);
    this.scaleBar(context, colour, scale, height);
    if (this.to) this.robot(context, at, colour, scale);
  }

  path(context, at, style, lineWidth) {
    context.beginPath();
    for (const point of this.points) context.lineTo(...at(point));
    context.closePath();
    context.strokeStyle = style;
    context.lineWidth = lineWidth;
    context.stroke();
  }

  startLine(context, at, colour, scale) {
    const [a, b] = [this.points[0], this.points[1]];
    const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
    const [nx, ny] = [-(b.y - a.y) / length * LANE_M / 2, (b.x - a.x) / length * LANE_M / 2];
    context.beginPath();
    context.moveTo(...at({ x: a.x + nx, y: a.y + ny }));
    context.lineTo(...at({ x: a.x - nx, y: a.y - ny }));
    context.strokeStyle = colour.ink;
    context.lineWidth = Math.max(2, 0.012 * scale);
    context.setLineDash([3, 3]);
    context.stroke();
    context.setLineDash([]);
  }

  drawTrail(context, at, colour) {
    const speeds = this.trail.map((p) => p.speed).filter((v) => v !== null);
    const [slow, fast] = [Math.min(...speeds), Math.max(...speeds)];
    this.legend.hidden = !(fast > slow);
    if (fast > slow) {
      const unit = this.plan.unit(this.name("speed_measured")) || this.plan.unit(this.name("speed"));
      say(this.legend.children[0], number(slow));
      say(this.legend.children[2], quantity(fast, unit));
    }
    context.lineWidth = 3.5;
    context.lineCap = "butt";
    const newest = this.trail.at(-1)?.at ?? 0;
    for (let i = 1; i < this.trail.length; i += 1) {
      const [a, b] = [this.trail[i - 1], this.trail[i]];
      const most = 1.5 * Math.max(a.speed ?? 0, b.speed ?? 0) * (b.at - a.at) + JUMP_M;
      if (Math.hypot(a.x - b.x, a.y - b.y) > most) continue;
      const part = fast > slow && b.speed !== null ? (b.speed - slow) / (fast - slow) : 0.5;
      context.globalAlpha = Math.max(0.08, 1 - (newest - b.at) / TRAIL_S);
      context.strokeStyle = mix(colour.slow, colour.fast, part);
      context.beginPath();
      context.moveTo(...at(a));
      context.lineTo(...at(i === this.trail.length - 1 && this.to ? this.shown(performance.now()) : b));
      context.stroke();
    }
    context.globalAlpha = 1;
    context.lineCap = "round";
  }

  robot(context, at, colour, scale) {
    const pose = this.shown(performance.now());
    const size = Math.max(11, 0.07 * scale);
    const off = this.state.value(this.name("off_track")) === true;
    context.save();
    context.translate(...at(pose));
    context.rotate(-pose.heading);
    context.globalAlpha = this.state.fresh(this.name("x")) ? 1 : 0.35;
    context.fillStyle = colour.ink;
    for (const side of [-1, 1]) context.fillRect(-0.45 * size, side * 0.82 * size - 0.17 * size, 0.9 * size, 0.34 * size);
    context.beginPath();
    context.roundRect(-0.85 * size, -0.66 * size, 1.9 * size, 1.32 * size, 0.42 * size);
    context.fillStyle = off ? colour.bad : colour.a;
    context.strokeStyle = colour.card;
    context.lineWidth = 2;
    context.fill();
    context.stroke();
    context.beginPath();
    context.arc(0.55 * size, 0, 0.24 * size, 0, 2 * Math.PI);
    context.fillStyle = colour.card;
    context.fill();
    context.restore();
    if (off) this.label(context, at(pose), "off its track", colour.bad, size);
  }

  label(context, [x, y], text, style, size) {
    context.font = "600 12px system-ui, sans-serif";
    context.fillStyle = style;
    context.textAlign = "center";
    context.fillText(text, x, y - 1.6 * size);
  }

  scaleBar(context, colour, scale, height) {
    const metres = scale > 260 ? 0.2 : 0.5;
    context.strokeStyle = context.fillStyle = colour.muted;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(14, height - 20);
    context.lineTo(14, height - 14);
    context.lineTo(14 + metres * scale, height - 14);
    context.lineTo(14 + metres * scale, height - 20);
    context.stroke();
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    context.fillText(`${metres} m`, 20, height - 19);
  }
}
