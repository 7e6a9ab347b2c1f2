// Numbers as people read them. Units come from the configuration; only bytes and times are scaled.

const UNIT_TEXT = {
  degC: "°C", degF: "°F", percent: "%", "m/s2": "m/s²", m2: "m²", m3: "m³", "m3/s": "m³/s", ohm: "Ω", kohm: "kΩ",
  us: "µs", uT: "µT", uA: "µA", uV: "µV", um: "µm", deg: "°", "deg/s": "°/s", "1/m": "m⁻¹", "1/s": "s⁻¹",
};
const REASONS = {
  not_yet: "no value yet", not_a_number: "not a number", device_error: "device error", device_closed: "device closed",
  quarantined: "quarantined", no_answer: "no answer", input_absent: "input absent", agent_error: "agent error",
  out_of_range: "out of range", loop_silent: "loop silent", not_given: "not available",
};

export const unitText = (unit) => UNIT_TEXT[unit] ?? unit;
export const reasonText = (reason) => REASONS[reason] ?? String(reason).replaceAll("_", " ");

/** Three significant digits, never in exponents where that can be avoided. */
export function number(value) {
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e6) return String(value).replace("-", "−");
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(2).replace("e+", "e");
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return value.toFixed(digits).replace("-", "−");
}

/** Value and unit; bytes and rates of bytes in multiples of 1024, long times in days. */
export function quantity(value, unit) {
  if (typeof value !== "number") return number(value);
  if (unit === "B" || unit === "B/s") return bytes(value) + (unit === "B/s" ? "/s" : "");
  if (unit === "percent") return percent(value);
  if (unit === "s" && value >= 120) return span(value);
  const text = unitText(unit);
  const gap = ["%", "°", ""].includes(text) ? "" : "\u202f";
  return number(value) + gap + text;
}

/** Of a hundred. */
export const percent = (value) => `${value >= 10 || value === 0 ? Math.round(value) : value.toFixed(value < 0.1 ? 2 : 1)}%`;

export function bytes(value) {
  const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (value >= 1024 && step < steps.length - 1) { value /= 1024; step += 1; }
  return `${step ? value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0) : Math.round(value)}\u202f${steps[step]}`;
}

/** Microseconds. */
export function micros(us) {
  if (us >= 1e6) return `${(us / 1e6).toFixed(2)}\u202fs`;
  if (us >= 1000) return `${(us / 1000).toFixed(us >= 10000 ? 1 : 2)}\u202fms`;
  return `${us >= 100 ? us.toFixed(0) : us.toFixed(us >= 10 ? 1 : 2)}\u202fµs`;
}

/** Seconds as a span of time: 42 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function span(seconds) {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole}\u202fs`;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = parts.findIndex(([size]) => whole >= size);
  const [a, b] = [parts[first], parts[first + 1]];
  const rest = b ? Math.floor((whole % a[0]) / b[0]) : 0;
  return `${Math.floor(whole / a[0])}\u202f${a[1]}` + (rest ? ` ${rest}\u202f${b[1]}` : "");
}

/** Local time of day of a UTC time in nanoseconds. */
export const clock = (utcNs) => new Date(utcNs / 1e6).toLocaleTimeString([], { hour12: false });

export const words = (name) => name.replaceAll("_", " ");
