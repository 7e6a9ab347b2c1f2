// Lap times, lap by lap: how a learning agent gets faster.

import { Surface, card, colours, h, mark, say } from "./dom.js";
import { percent, quantity } from "./format.js";
import { tickText, ticks } from "./plots.js";

const MOST = 400;
const OUTLIER = 1.6;  // laps longer than so many medians lie on the edge, hollow
const RECORD_S = 1800;
const LAST = 5;  // of a bucket: when, count, low, mean, high, last
const PAD = { left: 40, right: 12, top: 12, bottom: 22 };

const change = (part) => `${part < 0 ? "−" : "+"}${percent(Math.abs(100 * part))}`;

const middle = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

export class LapChart {
  constructor(plan, state, device) {
    this.plan = plan;
    this.state = state;
    this.device = device;
    this.laps = new Map();
    this.learner = plan.learners(device)[0] ?? null;
    this.surface = new Surface("plot laps", (context, width, height) => this.draw(context, width, height));
    this.note = h("p", "empty", "no complete lap yet");
    this.facts = h("dl", "facts");
    this.element = card("Lap times", "laps-card", device.simulated ? ["simulated"] : []);
    if (this.learner) this.element.querySelector("h2").append(h("small", "", `${this.learner.name} learns`));
    this.element.append(h("div", "stage plain", this.surface.canvas, this.note), this.facts);
  }

  /** Lap `lap` took so many seconds. */
  add(lap, seconds) {
    if (!Number.isInteger(lap) || lap < 1 || !(seconds > 0) || this.laps.get(lap) === seconds) return;
    this.laps.set(lap, seconds);
    if (this.laps.size > MOST) this.laps.delete(Math.min(...this.laps.keys()));
    this.surface.dirty = true;
  }

  sorted() { return [...this.laps.entries()].sort((a, b) => a[0] - b[0]); }

  /** The lap count went back: another run began. */
  begin() {
    this.laps.clear();
    this.surface.dirty = true;
  }

  wants() { return ["lap", "lap_time"].map((name) => `${this.device.name}.${name}`); }

  /** Laps before the page was opened. */
  recall(past) {
    const [laps, times] = this.wants().map((name) => past[name] ?? []);
    laps.forEach(([, lap], i) => this.add(lap, times[i]?.[1]));
  }

  /** And those that are in the record: both signals over the same span, so that their buckets are the same. */
  async recallRecord() {
    const now = Date.now(), instant = (ms) => new Date(ms).toISOString();
    const ask = async (name) => {
      const answer = await fetch(`/api/v1/record/${name}?from=${instant(now - 1000 * RECORD_S)}&to=${instant(now)}&points=${RECORD_S / 2}`);
      return answer.ok ? new Map((await answer.json()).points.buckets.map((bucket) => [bucket[0], bucket[LAST]])) : new Map();
    };
    const [laps, times] = await Promise.all(this.wants().map(ask)).catch(() => [new Map(), new Map()]);
    let run = new Map(), before = 0;
    for (const [at, lap] of laps) {
      if (lap < before) run = new Map();  // another run began
      before = lap;
      if (times.has(at)) run.set(lap, times.get(at));
    }
    if (before > (this.state.value(this.wants()[0]) ?? Infinity)) return;  // that was another run
    for (const [lap, time] of run) if (!this.laps.has(lap)) this.add(lap, time);
  }

  update() {
    const [lap, time] = ["lap", "lap_time"].map((name) => this.state.value(`${this.device.name}.${name}`));
    if (lap !== null && this.laps.size && lap < Math.max(...this.laps.keys()) - 1) this.begin();
    if (lap !== null && time !== null) this.add(lap, time);
    this.note.hidden = this.laps.size > 0;
    this.tell(this.facts_());
  }

  facts_() {
    const times = this.sorted().map(([, time]) => time);
    const facts = [["best", times.length ? quantity(Math.min(...times), "s") : "–"]];
    const few = Math.min(5, Math.floor(times.length / 2));
    if (few > 0) facts.push(["against the first", change(middle(times.slice(-few)) / middle(times.slice(0, few)) - 1)]);
    if (this.learner) {
      const epsilon = this.state.value(`${this.learner.name}.epsilon`);
      facts.push(["left to chance", epsilon === null ? "–" : percent(100 * epsilon)]);
    }
    return facts;
  }

  tell(facts) {
    if (this.facts.children.length !== facts.length) {
      this.facts.replaceChildren(...facts.map(() => h("div", "", h("dt"), h("dd"))));
    }
    facts.forEach(([label, text], i) => {
      say(this.facts.children[i].firstChild, label);
      say(this.facts.children[i].lastChild, text);
      mark(this.facts.children[i].lastChild, "", this.state.connected ? "" : "lost");
    });
  }

  frame() { this.surface.paint(); }

  draw(context, width, height) {
    if (!this.laps.size) return;
    const colour = colours();
    const laps = this.sorted();
    const times = laps.map((entry) => entry[1]);
    const best = Math.min(...times);
    const worst = Math.min(Math.max(...times), OUTLIER * middle(times)), room = Math.max(0.12 * (worst - best), 0.04 * best);
    const [low, high] = [best - room, worst + room];
    const first = laps[0][0], last = Math.max(laps.at(-1)[0], first + 4);
    const x = (lap) => PAD.left + (lap - first + 0.5) / (last - first + 1) * (width - PAD.left - PAD.right);
    const y = (time) => height - PAD.bottom - (time - low) / (high - low) * (height - PAD.top - PAD.bottom);
    this.axes(context, colour, width, height, low, high, first, last, x, y);
    context.strokeStyle = colour.b;
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.beginPath();
    for (const [lap, time] of laps) context.lineTo(x(lap), y(Math.min(time, high)));
    context.stroke();
    const radius = Math.max(1.6, Math.min(4, 160 / laps.length));
    for (const [lap, time] of laps) {
      context.beginPath();
      context.arc(x(lap), y(Math.min(time, high)), time === best ? radius + 2 : radius, 0, 2 * Math.PI);
      context.fillStyle = time === best ? colour.ok : time > high ? colour.card : colour.b;
      context.fill();
      if (time > high) context.stroke();
    }
  }

  axes(context, colour, width, height, low, high, first, last, x, y) {
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colour.muted;
    context.strokeStyle = colour.line;
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const all = ticks(low, high, 4);
    for (const time of all) {
      context.beginPath();
      context.moveTo(PAD.left, Math.round(y(time)) + 0.5);
      context.lineTo(width - PAD.right, Math.round(y(time)) + 0.5);
      context.stroke();
      context.fillText(`${tickText(time, all)} s`, PAD.left - 6, y(time));
    }
    context.textBaseline = "alphabetic";
    context.textAlign = "center";
    for (const lap of ticks(first, last, Math.max(2, Math.min(last - first, Math.floor(width / 60))))) {
      if (Number.isInteger(lap)) context.fillText(String(lap), x(lap), height - 6);
    }
    context.textAlign = "left";
    context.fillText("lap", 8, height - 6);
  }
}
