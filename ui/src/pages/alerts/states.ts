// From changes of alerts to the stretches of their states.
import type { Transition } from "../../data/alerts";
import type { Stretch } from "../../parts/timeline";

const SHOWN = new Set(["firing", "pending"]);

export interface AlertStates {
  fingerprint: string;
  rule: string;
  labels: Transition["labels"];
  stretches: Stretch[];
  firingMs: number;
}

/** States of each alert in [startMs, endMs], those that fired longest first. changes: newest first. */
export function statesOf(changes: Transition[], startMs: number, endMs: number): AlertStates[] {
  const byAlert = Map.groupBy([...changes].reverse(), (change) => change.fingerprint);
  const found = [...byAlert].map(([fingerprint, own]) => {
    const stretches: Stretch[] = [];
    let [state, fromMs] = [own[0]?.from_state ?? "", startMs];
    for (const change of own) {
      if (SHOWN.has(state) && change.at_ms > fromMs) stretches.push({ fromMs, toMs: change.at_ms, state });
      [state, fromMs] = [change.to_state, change.at_ms];
    }
    if (SHOWN.has(state)) stretches.push({ fromMs, toMs: endMs, state });
    const firingMs = stretches.reduce((total, one) => total + (one.state === "firing" ? one.toMs - one.fromMs : 0), 0);
    const newest = own.at(-1);
    return { fingerprint, rule: newest?.rule ?? "", labels: newest?.labels ?? {}, stretches, firingMs };
  });
  return found.filter(({ stretches }) => stretches.length).sort((one, other) => other.firingMs - one.firingMs);
}
