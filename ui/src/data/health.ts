// Judges a status: how each subsystem is, worst first, and one sentence about the whole.
import { count, duration, percent, size } from "../format";
import { isCall, type Alert } from "./alerts";
import type { Level } from "./level";
import type { Status } from "./status";

export interface Finding {
  name: string;
  level: Level;
  /** The state in a few words. */
  fact: string;
  /** The page that shows more. */
  link: string;
}

const RANK: Record<Level, number> = { bad: 0, warn: 1, good: 2, idle: 3 };
const BREAKER: Record<string, Level> = { closed: "good", open: "bad", "half-open": "warn" };
/** How each state of a sink is. */
export const SINK: Record<string, Level> = { up: "good", starting: "idle", paused: "warn", refusing: "bad", failing: "bad", blocked: "bad" };
const SERIES_NEAR = 0.8;

export function findings(status: Status): Finding[] {
  const all = [...engine(status), ...storage(status), ...outside(status)];
  return all.sort((one, other) => RANK[one.level] - RANK[other.level]);
}

function engine(status: Status): Finding[] {
  const { watchdog, queue, journal, head, series, seal, safeguards, rules, reload } = status;
  const found: Finding[] = [];
  const add = (name: string, level: Level, fact: string, link = "/storage"): number => found.push({ name, level, fact, link });
  if (watchdog) {
    const stalled = watchdog.stalled.join(", ");
    add("Workers", stalled ? "bad" : "good", stalled ? `${stalled} stalled` : `${watchdog.workers.length} running`);
  }
  if (queue && safeguards) {
    const fill = safeguards.mode.load_percent.queue ?? 0;
    add("Queue", fill >= 75 ? "bad" : fill >= 50 ? "warn" : "good", `${count(queue.frames)} frames, ${percent(fill / 100)} full`, "/flow");
  }
  if (journal) add("Journal", journal.failures ? "bad" : "good", journal.failures ? `${count(journal.failures)} failed commits` : `${size(journal.bytes)} retained`);
  if (head) add("Head", seal?.last_error ? "bad" : "good", seal?.last_error ?? `${count(head.samples)} samples in memory`);
  if (series) {
    const share = series.active / series.limit;
    add("Series", share >= 1 ? "bad" : share >= SERIES_NEAR ? "warn" : "good", `${count(series.active)} active, ${percent(share)} of limit`, "/series");
  }
  if (rules?.groups) add("Rules", rules.send_failures ? "warn" : "good", `${count(rules.rules)} rules in ${count(rules.groups)} groups`, "/alerts?tab=rules");
  if (reload) add("Configuration", reload.successful ? "good" : "bad", reload.error ?? "in force", "/settings");
  return found;
}

function storage(status: Status): Finding[] {
  const { maintenance, ladder, blocks } = status;
  const found: Finding[] = [];
  const add = (name: string, level: Level, fact: string): number => found.push({ name, level, fact, link: "/storage" });
  if (blocks) add("Blocks", "good", `${count(blocks.count)} files, ${size(blocks.bytes)}`);
  if (ladder) {
    add("Tiers", ladder.last_error ? "bad" : "good", ladder.last_error ?? `${Object.keys(ladder.tiers).length} tiers written`);
  }
  if (maintenance) {
    const { quarantine, jobs } = maintenance;
    const failing = Object.entries(jobs).filter(([, job]) => job.last_error);
    add("Maintenance", failing.length ? "warn" : "good", failing.length ? `failing: ${failing.map(([name]) => name).join(", ")}` : "jobs run");
    add("Disk space", maintenance.space_low ? "bad" : "good", maintenance.space_low ? "low" : "enough");
    add("Integrity", quarantine.blocks ? "bad" : "good", quarantine.blocks ? `${quarantine.blocks} blocks in quarantine` : `${count(maintenance.scrub.files)} files verified`);
    add("Clock", maintenance.clock_in_doubt ? "warn" : "good", maintenance.clock_in_doubt ? `off by ${duration(maintenance.clock_off_ms)}` : maintenance.clock);
  }
  return found;
}

function outside(status: Status): Finding[] {
  const found: Finding[] = [];
  for (const [name, source] of Object.entries(status.sources ?? {})) {
    found.push({ name: `Source ${name}`, level: source.up ? "good" : "bad", fact: source.error ?? source.state, link: "/flow" });
  }
  for (const [name, sink] of Object.entries(status.sinks ?? {})) {
    found.push({ name: `Sink ${name}`, level: SINK[sink.state] ?? "idle", fact: sink.error ?? (sink.state === "refusing" ? `refuses samples: ${count(Number(sink.dead_letters ?? 0))} dead letters` : sink.state), link: "/flow" });
  }
  for (const [name, breaker] of Object.entries(status.breakers ?? {})) {
    if (name.startsWith("sinks.")) continue; // the sink itself tells
    const closed = breaker.state === "closed";
    found.push({ name: `Breaker ${name}`, level: BREAKER[breaker.state] ?? "warn", fact: closed ? "closed" : (breaker.last_error ?? breaker.state), link: "/flow" });
  }
  return found;
}

export interface Verdict {
  level: Level;
  sentence: string;
  /** What it rests on. */
  detail: string;
}

export function verdict(status: Status, found: Finding[], alerts: Alert[]): Verdict {
  const firing = alerts.filter((alert) => isCall(alert) && !alert.acknowledgement).length;
  if (status.mode === "recovering") {
    return { level: "warn", sentence: "Nissa is starting.", detail: `The journal is being replayed: ${percent((status.recovery?.percent ?? 0) / 100)} done.` };
  }
  if (status.mode === "read_only") return { level: "bad", sentence: "Nothing is being stored.", detail: status.reason ?? "The store is read only." };
  if (status.mode === "stalled") return { level: "bad", sentence: "A worker makes no progress.", detail: status.reason ?? "" };
  const bad = found.filter((finding) => finding.level === "bad");
  const warned = found.filter((finding) => finding.level === "warn");
  const told = [...bad, ...warned].map((finding) => `${finding.name}: ${finding.fact}`);
  const detail = told.slice(0, 3).join(" · ") + (told.length > 3 ? ` · and ${told.length - 3} more` : "");
  const alarm = firing ? `${firing} ${firing === 1 ? "alert is" : "alerts are"} firing` : "";
  if (bad.length) return { level: "bad", sentence: sentence(bad.length, "needs attention", "need attention", alarm), detail };
  if (firing) return { level: "bad", sentence: `${alarm}.`, detail: detail || "Nissa itself is well." };
  if (warned.length) return { level: "warn", sentence: sentence(warned.length, "is worth a look", "are worth a look", ""), detail };
  const mode = status.safeguards?.mode;
  if (mode && mode.mode !== "normal") return { level: "warn", sentence: `Nissa runs in ${mode.mode} mode.`, detail: mode.reason ?? "" };
  const sources = Object.keys(status.sources ?? {}).length;
  const sinks = Object.keys(status.sinks ?? {}).length;
  const parts = [sources ? `${sources} ${sources === 1 ? "source" : "sources"} up` : "", sinks ? `${sinks} ${sinks === 1 ? "sink" : "sinks"} up` : ""];
  return { level: "good", sentence: "All is well.", detail: [...parts.filter(Boolean), "no alert fires", `stored with durability ${status.durability}`].join(", ") + "." };
}

function sentence(number: number, one: string, many: string, alarm: string): string {
  const things = number === 1 ? `One part ${one}` : `${number} parts ${many}`;
  return `${things}${alarm ? `, and ${alarm}` : ""}.`;
}
