// Requests as a table: rate, errors and durations of services or routes, each with its change.
import type { ComponentChildren } from "preact";
import { change, took, type Numbers, type Requests } from "../../data/performance";
import { count, percent } from "../../format";

interface Properties {
  rows: Requests[];
  /** Heading of the first column. */
  first: string;
  nameOf: (row: Requests) => ComponentChildren;
}

export function RequestTable({ rows, first, nameOf }: Properties) {
  const several = new Set(rows.map(({ histogram }) => histogram).filter(Boolean)).size > 1;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={`Requests by ${first}`}>
      <table class="requests">
        <thead>
          <tr>
            <th>{first}</th>
            <th class="number">requests</th>
            <th class="number">errors</th>
            <th class="number">p50</th>
            <th class="number">p95</th>
            <th class="number">p99</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.service} ${row.histogram} ${row.route}`}>
              <td class="wrap">
                {nameOf(row)}
                {several && <span class="small muted mono histogram">{row.histogram}</span>}
              </td>
              <Cells row={row} />
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Cells({ row: { histogram, now, before } }: { row: Requests }) {
  if (!now) {
    return (
      <td class="number muted" colSpan={5}>
        {before ? "no requests now" : histogram ? "no requests" : "rollups only"}
      </td>
    );
  }
  return (
    <>
      <Cell name="requests" value={`${count(now.rate)}/s`} change={before ? change(now.rate, before.rate) : "new"} />
      <Cell name="errors" value={percent(now.error_ratio ?? undefined)} change={before ? points(now, before) : ""} />
      {(["p50", "p95", "p99"] as const).map((name) => (
        <Cell key={name} name={name} value={took(histogram, now[name], now.open_ended.includes(name))} change={change(now[name], before?.[name])} />
      ))}
    </>
  );
}

/** The change of a share of errors, in points of percent. */
export function points(now: Numbers, before: Numbers): string {
  const moved = ((now.error_ratio ?? 0) - (before.error_ratio ?? 0)) * 100;
  return Math.abs(moved) < 0.005 ? "±0" : `${moved > 0 ? "+" : "−"}${count(Math.abs(moved))} points`;
}

function Cell({ name, value, change: moved }: { name: string; value: string; change: string }) {
  return (
    <td class="number" data-name={name}>
      {value}
      <span class="small muted change">{moved}</span>
    </td>
  );
}
