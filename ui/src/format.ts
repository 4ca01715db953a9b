// Numbers, sizes, durations and times as people read them. Digits are few and stay in place.

const THOUSANDS = ["", " k", " M", " G", " T", " P"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const SPANS: [number, string][] = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
];

function digits(value: number): string {
  const size = Math.abs(value);
  return String(Number(value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)));
}

export function count(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 0.01) return String(Number(value.toPrecision(2))).replace("-", "−");
  if (size !== 0 && size < 0.01) return value.toExponential(1);
  let step = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 999.5 && step < THOUSANDS.length - 1) {
    scaled /= 1_000;
    step += 1;
  }
  return digits(scaled).replace("-", "−") + THOUSANDS[step];
}

export function whole(value: number | undefined): string {
  return value === undefined ? "–" : Math.round(value).toLocaleString("en");
}

/** A number with its noun. */
export function many(value: number, noun: string): string {
  return `${whole(value)} ${noun}${value === 1 ? "" : "s"}`;
}

export function size(bytes: number | undefined): string {
  if (bytes === undefined || !Number.isFinite(bytes)) return "–";
  let step = 0;
  let scaled = bytes;
  while (Math.abs(scaled) >= 1_000 && step < BINARY.length - 1) {
    scaled /= 1_024;
    step += 1;
  }
  return `${step ? digits(scaled) : scaled} ${BINARY[step]}`;
}

export function duration(ms: number | undefined): string {
  if (ms === undefined || !Number.isFinite(ms)) return "–";
  if (ms < 1) return `${digits(ms)} ms`;
  if (ms < 1_000) return `${digits(ms < 10 ? Math.round(ms * 10) / 10 : Math.round(ms))} ms`;
  const at = SPANS.findIndex(([span]) => ms >= span);
  const [span, unit] = SPANS[at] ?? [1_000, "s"];
  const rest = SPANS[at + 1];
  if (unit === "s") return `${digits(ms < 10_000 ? Math.round(ms / 100) / 10 : Math.round(ms / 1_000))} s`;
  const main = Math.floor(ms / span);
  const more = rest ? Math.floor((ms % span) / rest[0]) : 0;
  return more && rest ? `${main} ${unit} ${more} ${rest[1]}` : `${main} ${unit}`;
}

export function percent(share: number | undefined): string {
  return share === undefined || !Number.isFinite(share) ? "–" : `${digits(share * 100)} %`;
}

/** A value of a series as the API wrote it, shortened. */
export function sample(text: string): string {
  const value = Number(text);
  if (Number.isNaN(value)) return text;
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en");
  return Math.abs(value) >= 1e-4 && Math.abs(value) < 1e15 ? String(Number(value.toPrecision(8))) : value.toExponential(5);
}

const LOCAL = "time-zone";

export function inUtc(): boolean {
  return window.localStorage.getItem(LOCAL) === "utc";
}

export function setUtc(utc: boolean): void {
  window.localStorage.setItem(LOCAL, utc ? "utc" : "local");
}

function zone(): Intl.DateTimeFormatOptions {
  return inUtc() ? { timeZone: "UTC" } : {};
}

export function clock(ms: number): string {
  return new Date(ms).toLocaleTimeString("en-GB", { hour12: false, ...zone() });
}

/** Date and time to the second; to the millisecond where `exact`. */
export function moment(ms: number, exact = false): string {
  const parts = new Date(ms).toLocaleString("sv-SE", zone());
  return exact ? `${parts}.${String(ms % 1_000).padStart(3, "0")}` : parts;
}

export function ago(ms: number, now = Date.now()): string {
  return now - ms < 1_000 ? "now" : `${duration(now - ms)} ago`;
}

/** A label set as PromQL writes it. */
export function series(labels: Record<string, string>): string {
  const { __name__: name = "", ...rest } = labels;
  const pairs = Object.entries(rest).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return pairs.length ? `${name}{${pairs.join(", ")}}` : name || "{}";
}
