// What the configuration means for the page: which panels there are. No name of a device or agent is known here;
// the rules are about signals and wiring, so that any robot gets its map and any controller its plot.

export class Plan {
  constructor(config) {
    this.node = config.node;
    this.loops = config.loops ?? [];
    this.signals = new Map();
    this.devices = [];
    this.agents = [];
    for (const loop of this.loops) {
      for (const device of loop.devices ?? []) this.devices.push({ ...device, loop: loop.name });
      for (const agent of loop.agents ?? []) this.agents.push({ ...agent, loop: loop.name });
    }
    for (const owner of [...this.devices, ...this.agents]) {
      for (const signal of owner.signals ?? []) this.signals.set(signal.name, { type: "float", role: "sensor", ...signal });
    }
  }

  unit(name) { return this.signals.get(name)?.unit ?? ""; }

  has(owner, ...names) { return names.every((name) => this.signals.has(`${owner.name}.${name}`)); }

  /** Devices that know their own place on a track. */
  maps() { return this.devices.filter((device) => this.has(device, "track", "x", "y", "heading")); }

  /** Devices that count laps. */
  lappers() { return this.devices.filter((device) => this.has(device, "lap", "lap_time")); }

  /** Signals that are pictures, with their devices. */
  pictures() {
    return this.devices.flatMap((device) => (device.signals ?? [])
      .filter((s) => s.dtype === "uint8" && (s.shape?.length === 2 || (s.shape?.length === 3 && s.shape[2] === 3)))
      .map((signal) => ({ device, signal })));
  }

  /** Agents that read a signal. */
  readers(name) {
    return this.agents.filter((agent) => (agent.inputs ?? []).some((input) => (input.signals ?? []).includes(name)));
  }

  /** The agent and output that drive an actuator, with the conversion to the actuator's unit. */
  drivers(actuator) {
    return this.agents.flatMap((agent) => (agent.drives ?? [])
      .filter((drive) => drive.actuator === actuator)
      .map((drive) => ({ agent, asked: `${agent.name}.${drive.output}`, scale: drive.scale ?? 1, offset: drive.offset ?? 0 })));
  }

  actuators() { return [...this.signals.values()].filter((signal) => signal.role === "actuator"); }

  /** Plots: of each controller what it measures and wants, of each actuator what was asked and what was applied. */
  plots() { return [...this.agents.flatMap((agent) => this.controlPlot(agent)), ...this.actuators().map((a) => this.actuatorPlot(a))]; }

  controlPlot(agent) {
    const input = (name) => (agent.inputs ?? []).find((entry) => entry.attribute === name);
    const [measured, setpoint] = [input("measured"), input("setpoint")];
    if (!measured?.signals?.length || !setpoint) return [];
    const from = (entry, label) => entry.signals?.length
      ? { label, signal: entry.signals[0], scale: entry.scales?.[0] ?? 1, offset: entry.offsets?.[0] ?? 0 }
      : { label, constant: entry.constant };
    const unit = this.unit(measured.signals[0]);
    return [{ title: `${agent.name} · ${measured.signals[0]}`, unit, series: [from(measured, "measured"), from(setpoint, "setpoint")] }];
  }

  actuatorPlot(actuator) {
    const series = this.drivers(actuator.name).map(({ asked, scale, offset }) => ({ label: "asked", signal: asked, scale, offset }));
    series.push({ label: "applied", signal: actuator.name });
    if (this.signals.has(`${actuator.name}_measured`)) series.push({ label: "measured", signal: `${actuator.name}_measured` });
    return { title: actuator.name, unit: actuator.unit ?? "", series };
  }

  /** Learning agents that drive a device. */
  learners(device) {
    return this.agents.filter((agent) => this.signals.has(`${agent.name}.epsilon`)
      && (agent.drives ?? []).some((drive) => drive.actuator.startsWith(`${device.name}.`)));
  }

  hosts() { return this.devices.filter((device) => device.driver === "linux.host"); }

  /** Devices whose sensors no other panel shows. */
  others() {
    const shown = new Set([...this.maps(), ...this.hosts()].map((device) => device.name));
    return this.devices.filter((device) => !shown.has(device.name)
      && (device.signals ?? []).some((signal) => signal.type !== "array" && signal.role !== "actuator"));
  }
}
