// A camera's picture, and on it what an agent that reads it says: offset, heading and curvature of a line.

import { Surface, card, colours, h, mark, say } from "./dom.js";
import { quantity } from "./format.js";

// The pinhole camera of hal/drivers/sim/camera.py: with it an inferred line is drawn where it lies on the floor.
const FLOOR_CAMERAS = {
  "sim.line_follower": { heightM: 0.12, aheadM: 0.04, pitch: 36 * Math.PI / 180, focalPx: 31, lookaheadM: 0.18 },
};
const SHOWN = ["offset", "heading", "curvature", "confidence"];

export class PicturePanel {
  constructor(plan, state, { device, signal }) {
    this.plan = plan;
    this.state = state;
    this.signal = signal;
    this.camera = FLOOR_CAMERAS[device.driver] ?? null;
    this.reader = plan.readers(signal.name).find((agent) => plan.has(agent, "offset")) ?? plan.readers(signal.name)[0] ?? null;
    this.pixels = h("canvas", "pixels");
    this.overlay = new Surface("overlay", (context, width, height) => this.draw(context, width, height));
    this.note = h("p", "empty", "waiting for a picture …");
    const [rows, columns] = signal.shape;
    const box = h("div", "stage frame", this.pixels, this.overlay.canvas, this.note);
    box.style.aspectRatio = `${columns} / ${rows}`;
    this.facts = h("dl", "facts");
    const sees = this.reader ? `seen by ${this.reader.name}` : "";
    this.element = card(signal.name, "picture-card", device.simulated ? ["simulated"] : []);
    this.element.append(box, this.facts);
    if (sees) this.element.querySelector("h2").append(h("small", "", sees));
    this.outputs = SHOWN.filter((name) => this.reader && plan.has(this.reader, name));
  }

  output(name) { return this.outputs.includes(name) ? this.state.value(`${this.reader.name}.${name}`) : null; }

  /** A message `picture` came. */
  show(picture) {
    if (picture.signal !== this.signal.name) return;
    const data = atob(picture.data);
    const [rows, columns, channels] = [picture.rows, picture.columns, picture.channels];
    if (this.pixels.width !== columns || this.pixels.height !== rows) Object.assign(this.pixels, { width: columns, height: rows });
    const image = new ImageData(columns, rows);
    for (let i = 0; i < rows * columns; i += 1) {
      for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = data.charCodeAt(channels * i + (channels === 3 ? c : 0));
      image.data[4 * i + 3] = 255;
    }
    this.pixels.getContext("2d").putImageData(image, 0, 0);
    this.note.hidden = true;
    this.overlay.dirty = true;
  }

  update() {
    mark(this.pixels, "pixels", this.state.doubt(this.signal.name));
    if (this.facts.children.length !== this.outputs.length) {
      this.facts.replaceChildren(...this.outputs.map((name) => h("div", "", h("dt", "", name), h("dd"))));
    }
    this.outputs.forEach((name, i) => {
      const full = `${this.reader.name}.${name}`;
      const cell = this.facts.children[i].lastChild;
      const value = this.state.value(full);
      const text = name === "confidence" && value !== null ? `${Math.round(100 * value)}%`
        : name === "offset" && value !== null && this.plan.unit(full) === "m" ? quantity(1000 * value, "mm")
          : quantity(value, this.plan.unit(full));
      say(cell, text);
      mark(cell, "", this.state.doubt(full));
    });
    this.overlay.dirty = true;
  }

  frame() { this.overlay.paint(); }

  draw(context, width, height) {
    const offset = this.output("offset");
    if (offset === null || !this.state.fresh(`${this.reader.name}.offset`)) return;
    const colour = colours();
    context.globalAlpha = Math.max(0.15, this.output("confidence") ?? 1);
    context.lineCap = context.lineJoin = "round";
    const points = this.camera ? this.onFloor(offset) : this.plain(offset);
    const [rows, columns] = this.signal.shape;
    const at = ([column, row]) => [(column + 0.5) / columns * width, (row + 0.5) / rows * height];
    for (const [style, lineWidth] of [["rgba(0,0,0,.55)", 6], [colour.fast, 3]]) {
      context.strokeStyle = style;
      context.lineWidth = lineWidth;
      context.beginPath();
      for (const point of points.line) context.lineTo(...at(point));
      context.stroke();
    }
    const [x, y] = at(points.mark), [middle] = at([(columns - 1) / 2, 0]);
    context.lineWidth = 2;
    context.strokeStyle = "rgba(255,255,255,.85)";
    context.setLineDash([4, 4]);
    context.beginPath();
    context.moveTo(middle, y);
    context.lineTo(x, y);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.moveTo(middle, y - 7);
    context.lineTo(middle, y + 7);
    context.stroke();
    context.beginPath();
    context.arc(x, y, 5.5, 0, 2 * Math.PI);
    context.fillStyle = colour.fast;
    context.strokeStyle = "rgba(0,0,0,.7)";
    context.fill();
    context.stroke();
    context.globalAlpha = 1;
  }

  /** The line on the floor, projected: it passes the look-ahead point `offset` to the right, and bends. */
  onFloor(offset) {
    const heading = this.output("heading") ?? 0, bend = this.output("curvature") ?? 0;
    const start = { x: this.camera.lookaheadM, y: -offset };
    const line = [];
    for (let s = -0.1; s <= 0.301; s += 0.02) {
      const ahead = Math.max(0, s), turn = bend * ahead;
      const along = Math.abs(turn) > 1e-3 ? Math.sin(turn) / bend : ahead;
      const across = Math.abs(turn) > 1e-3 ? (1 - Math.cos(turn)) / bend : bend * ahead * ahead / 2;
      const forward = s < 0 ? s : along, left = s < 0 ? 0 : across;
      const point = this.project(
        start.x + forward * Math.cos(heading) - left * Math.sin(heading),
        start.y + forward * Math.sin(heading) + left * Math.cos(heading),
      );
      if (point) line.push(point);
    }
    return { line, mark: this.project(start.x, start.y) };
  }

  project(x, y) {
    const { heightM, aheadM, pitch, focalPx } = this.camera;
    const [rows, columns] = this.signal.shape;
    const ahead = x - aheadM;
    const depth = ahead * Math.cos(pitch) + heightM * Math.sin(pitch);
    if (depth < 0.02) return null;
    const down = (heightM * Math.cos(pitch) - ahead * Math.sin(pitch)) / depth;
    return [(columns - 1) / 2 - y / depth * focalPx, (rows - 1) / 2 + down * focalPx];
  }

  /** Without the camera's geometry: a mark across the middle, its full scale the signal's own range. */
  plain(offset) {
    const [rows, columns] = this.signal.shape;
    const declared = this.plan.signals.get(`${this.reader.name}.offset`);
    const full = Math.max(Math.abs(declared?.low ?? 0), Math.abs(declared?.high ?? 0)) || 1;
    const column = (columns - 1) / 2 * (1 + offset / full);
    return { line: [[column, rows * 0.3], [column, rows * 0.7]], mark: [column, rows / 2] };
  }
}
