// The page: reads the configuration, makes the panels that fit it, and feeds them from one stream.

import { Actuators } from "./actuators.js";
import { Banners } from "./banners.js";
import { h } from "./dom.js";
import { Events } from "./events.js";
import { LapChart } from "./laps.js";
import { Loops } from "./loops.js";
import { TrackMap } from "./map.js";
import { PicturePanel } from "./picture.js";
import { Plan } from "./plan.js";
import { Plot } from "./plots.js";
import { Signals } from "./signals.js";
import { State } from "./state.js";
import { Stream } from "./stream.js";
import { Tiles } from "./tiles.js";

const EVENTS = 300;
const RETRY_MS = 2000;

const json = async (path) => {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
};

class Page {
  constructor(config, events) {
    this.config = JSON.stringify(config);
    this.plan = new Plan(config);
    this.state = new State();
    this.banners = new Banners(this.state);
    this.events = new Events();
    this.events.addAll(events);
    this.build();
    this.recall([...this.maps, ...this.plots, ...this.laps]);
    this.recall(this.tiles);
    const after = events.at(-1)?.id ?? 0;
    this.stream = new Stream(this.state, after, {
      link: (connected, again) => this.link(connected, again),
      status: (status) => this.takeStatus(status),
      signals: (message) => this.takeSignals(message),
      picture: (picture) => this.pictures.forEach((panel) => panel.show(picture)),
      event: (event) => this.takeEvent(event),
      dropped: ({ events: count }) => this.events.dropped(count),
    });
    const frame = (now) => {
      for (const panel of this.panels) panel.frame?.(now);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  build() {
    const { plan, state } = this;
    this.maps = plan.maps().map((device) => new TrackMap(plan, state, device));
    this.pictures = plan.pictures().map((found) => new PicturePanel(plan, state, found));
    this.laps = plan.lappers().map((device) => new LapChart(plan, state, device));
    this.plots = plan.plots().map((spec) => new Plot(state, spec));
    const loops = new Loops(plan, state);
    const actuators = plan.actuators().length ? [new Actuators(plan, state)] : [];
    const hosts = plan.hosts().map((device) => new Tiles(plan, state, device));
    const others = plan.others().map((device) => new Tiles(plan, state, device));
    this.tiles = [...others, ...hosts];
    const rest = [...actuators, ...this.tiles, this.events, new Signals(plan, state)];
    this.panels = [...this.maps, ...this.pictures, ...this.laps, ...this.plots, loops, ...rest];
    this.withStatus = [loops, ...actuators];
    const group = (name, ...panels) => (panels.length ? h("div", `group ${name}`, ...panels.map((panel) => panel.element)) : null);
    const side = group("side", ...this.pictures, ...this.laps);
    const hero = h("div", `group hero ${this.maps.length ? "" : "flat"}`, ...this.maps.map((panel) => panel.element), side);
    document.getElementById("panels").replaceChildren(...[
      this.maps.length || side ? hero : null, group("plots", ...this.plots), group("others", ...others),
      group("guarded", ...actuators, this.events), group("work", loops), group("others", ...hosts), this.panels.at(-1).element,
    ].filter(Boolean));
  }

  /** Begin with the last minute instead of with empty plots. */
  async recall(takers) {
    const names = [...new Set(takers.flatMap((panel) => panel.wants()))].slice(0, 32);
    if (!names.length) return;
    const query = names.map((name) => `signal=${encodeURIComponent(name)}`).join("&");
    const found = await json(`/api/v1/recent?points=600&${query}`).catch(() => null);
    for (const panel of takers) if (found) panel.recall(found.signals);
  }

  takeSignals(message) {
    this.state.takeSignals(message);
    for (const panel of this.panels) panel.update?.();
  }

  takeStatus(status) {
    this.state.status = status;
    this.banners.takeStatus(status);
    for (const panel of this.withStatus) panel.takeStatus(status);
    if (!this.remembered && status.record.samples_total > 0) {
      this.remembered = true;
      for (const chart of this.laps) chart.recallRecord();
    }
  }

  takeEvent(event) {
    this.events.add(event);
    if (event.kind === "config") this.check();
  }

  link(connected, again) {
    this.banners.link(connected);
    for (const panel of this.panels) panel.update?.();
    if (connected && again) this.check();
  }

  /** Another configuration needs other panels. */
  async check() {
    const config = await json("/api/v1/config").catch(() => null);
    if (config !== null && JSON.stringify(config) !== this.config) location.reload();
  }
}

async function start() {
  try {
    const [config, events] = await Promise.all([json("/api/v1/config"), json(`/api/v1/events?limit=${EVENTS}`)]);
    window.page = new Page(config, events.events);
  } catch {
    setTimeout(start, RETRY_MS);
  }
}

start();
