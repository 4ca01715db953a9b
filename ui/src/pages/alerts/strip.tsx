// The states of one rule over time as a strip: firing is tall, pending half, inactive low.
import type { Transition } from "../../data/alerts";
import { moment } from "../../format";

const CELLS = 60;
const RANK: Record<string, number> = { firing: 2, pending: 1 };

/** Worst state of a rule in each of 60 parts of the last `spanMs`; 0 inactive, 1 pending, 2 firing. transitions: of the rule, newest first. */
export function cells(transitions: Transition[], now: string, spanMs: number, nowMs: number): number[] {
  const worst = new Array<number>(CELLS).fill(0);
  const start = nowMs - spanMs;
  const mark = (fromMs: number, toMs: number, state: string): void => {
    const rank = RANK[state] ?? 0;
    const first = Math.max(0, Math.floor(((fromMs - start) / spanMs) * CELLS));
    const last = Math.min(CELLS - 1, Math.floor(((toMs - start) / spanMs) * CELLS));
    for (let at = first; at <= last; at += 1) worst[at] = Math.max(worst[at] ?? 0, rank);
  };
  const until = new Map<string, number>();
  for (const one of transitions) {
    mark(one.at_ms, until.get(one.fingerprint) ?? nowMs, one.to_state);
    until.set(one.fingerprint, one.at_ms);
  }
  const oldest = new Map(transitions.map((one) => [one.fingerprint, one]));
  for (const one of oldest.values()) mark(start, one.at_ms, one.from_state);
  if (!transitions.length) mark(start, nowMs, now);
  return worst;
}

export function Strip({ worst, spanMs, nowMs }: { worst: number[]; spanMs: number; nowMs: number }) {
  const firing = worst.filter((rank) => rank === 2).length;
  return (
    <svg class="strip" viewBox={`0 0 ${CELLS * 4} 18`} preserveAspectRatio="none" role="img" aria-label={`firing in ${firing} of ${CELLS} parts of the time`}>
      <title>{`from ${moment(nowMs - spanMs)}`}</title>
      {worst.map((rank, at) => {
        const height = [5, 11, 18][rank] ?? 5;
        return <rect key={at} class={`rank-${rank}`} x={at * 4} y={18 - height} width="3" height={height} />;
      })}
    </svg>
  );
}
