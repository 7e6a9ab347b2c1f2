// The top of the page: is all well, and if not, why; and whether what is shown is still true.

import { h, mark, say } from "./dom.js";
import { span } from "./format.js";

const element = (id) => document.getElementById(id);

export class Banners {
  constructor(state) {
    this.state = state;
    this.box = element("banners");
    this.lostAt = null;
    this.shown = "";
    setInterval(() => this.showLink(), 500);
  }

  takeStatus(status) {
    say(element("node"), status.node);
    const simulated = status.simulated.length ? ` · ${status.simulated.join(", ")} simulated` : "";
    say(element("about"), `agentd ${status.version} · up ${span(status.uptime_s)}${simulated}`);
    document.title = `${status.problems.length ? "⚠ " : ""}${status.node} · agentd`;
    this.draw();
  }

  link(connected) {
    if (connected) this.lostAt = null;
    else this.lostAt ??= Date.now();
    document.body.classList.toggle("lost", !connected);
    this.draw();
  }

  showLink() {
    const { connected } = this.state;
    const text = connected ? "live" : this.lostAt ? `no connection for ${span((Date.now() - this.lostAt) / 1000)}` : "connecting";
    say(element("link"), text);
    mark(element("link"), "link", connected ? "ok" : "bad");
    if (!connected) this.draw();
  }

  draw() {
    const { status, connected } = this.state;
    const banners = [];
    if (!connected && this.lostAt) {
      const since = new Date(this.lostAt).toLocaleTimeString([], { hour12: false });
      banners.push(["bad", "No connection to the daemon.", `Everything below is as it was at ${since}. Trying again; is it running? `, "agentctl status"]);
    }
    if (status?.emergency_stop) {
      banners.push(["stop", "Emergency stop.", `Every actuator holds its safe value: ${status.emergency_stop}. Clear it with `, "agentctl clear node"]);
    }
    for (const problem of status?.problems ?? []) {
      if (!(status.emergency_stop && problem.startsWith("emergency stop"))) banners.push(["warn", "", problem, ""]);
    }
    this.pill(status, connected);
    const key = JSON.stringify(banners);
    if (key === this.shown) return;
    this.shown = key;
    this.box.replaceChildren(...banners.map(([kind, head, text, command]) => (
      h("p", `banner ${kind}`, head ? h("strong", "", `${head} `) : null, text, command ? h("code", "", command) : null))));
  }

  pill(status, connected) {
    const count = status?.problems.length ?? 0;
    const [kind, text] = !connected || !status ? ["", this.lostAt ? "no connection" : "connecting"]
      : status.emergency_stop ? ["bad", "emergency stop"]
        : count ? ["warn", count === 1 ? "1 problem" : `${count} problems`]
          : status.ready && status.live ? ["ok", "all is well"] : ["warn", "not ready"];
    mark(element("pill"), "pill", kind);
    say(element("pill"), text);
  }
}
