// What the page knows: the latest value of every signal, the latest status, and how fresh the connection is.

export class State {
  constructor() {
    this.values = new Map();   // name -> number or boolean, only while present
    this.reasons = new Map();  // name -> why there is no value
    this.verdicts = new Map();
    this.stale = new Set();
    this.loops = {};
    this.timeS = 0;            // the node's clock, of the newest message
    this.heardAt = 0;          // ours, when it came
    this.status = null;
    this.connected = false;
  }

  takeSignals(message) {
    this.timeS = message.time_s;
    this.heardAt = performance.now();
    this.loops = message.loops;
    this.stale = new Set(message.stale);
    for (const [name, value] of Object.entries(message.values)) {
      const absent = typeof value === "string";
      (absent ? this.reasons : this.values).set(name, value);
      (absent ? this.values : this.reasons).delete(name);
    }
    for (const [name, verdict] of Object.entries(message.verdicts)) this.verdicts.set(name, verdict);
  }

  /** The value, or null when it is absent. */
  value(name) { return this.values.get(name) ?? null; }

  /** Present, not stale, and the connection is there. */
  fresh(name) { return this.connected && this.values.has(name) && !this.stale.has(name); }

  /** Why a value should not be trusted; empty when it should. */
  doubt(name) {
    if (!this.connected) return "lost";
    if (this.reasons.has(name) || !this.values.has(name)) return "absent";
    return this.stale.has(name) ? "stale" : "";
  }

  /** How long nothing came, in seconds. */
  silence() { return (performance.now() - this.heardAt) / 1000; }
}
