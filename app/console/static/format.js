/** How figures and times look. Times are UTC, as in logs and answers. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const decimals = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const compactly = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const MISSING = "–";
const KIB = 1024;

const known = (value) => value !== undefined && value !== null && !Number.isNaN(value);

export const number = (value) => (known(value) ? whole.format(value) : MISSING);
export const money = (value) => (known(value) ? decimals.format(value) : MISSING);
export const compact = (value) => (known(value) ? compactly.format(value) : MISSING);
export const percent = (value) => (known(value) ? `${(value * 100).toFixed(1)} %` : MISSING);
export const rate = (value) =>
  !known(value) ? MISSING : value >= 100 ? whole.format(value) : String(Math.round(value * 10) / 10);

export function seconds(value) {
  if (!known(value)) return MISSING;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 120) return `${Math.round(value * 10) / 10} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  if (value < 172800) return `${Math.round(value / 3600)} h`;
  return `${Math.round(value / 86400)} days`;
}

export function bytes(value) {
  if (!known(value)) return MISSING;
  let unit = 0;
  let left = value;
  while (left >= KIB && unit < 4) {
    left /= KIB;
    unit += 1;
  }
  return `${unit ? left.toFixed(1) : left} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

/** Day and time of an instant (ISO 8601 or ms), to the second or to the millisecond. */
export function time(at, { exact = false } = {}) {
  if (!known(at)) return MISSING;
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return String(at);
  const text = date.toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, exact ? 23 : 19)}`;
}

export const clock = (at) => time(at).slice(11);

/** A name in one word or several, as a sentence has it. */
export const words = (name) => {
  const said = String(name).replaceAll("_", " ").toLowerCase();
  return said.charAt(0).toUpperCase() + said.slice(1);
};

export const TONES = {
  CONFIRMED: "good",
  COMPLETED: "good",
  DONE: "good",
  CHARGED: "good",
  closed: "good",
  PENDING: "waiting",
  RUNNING: "waiting",
  WAITING: "waiting",
  OWED: "waiting",
  COMPENSATING: "waiting",
  REFUNDED: "waiting",
  "half-open": "waiting",
  CANCELLED: "bad",
  ABORTED: "bad",
  FAILED: "bad",
  REFUND_FAILED: "bad",
  COMPENSATION_FAILED: "bad",
  open: "bad",
  UNDONE: "plain",
};

export const tone = (word) => TONES[word] ?? "plain";
