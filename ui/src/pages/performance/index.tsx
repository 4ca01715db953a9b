// Performance: services by their requests, what moved most, when limits are reached; one service in detail.
import type { PageProperties } from "../../app";
import { services, WINDOW, WINDOWS, type Requests } from "../../data/performance";
import { usePoll } from "../../data/poll";
import { many } from "../../format";
import { Empty, Notes, Panel, Trouble } from "../../parts/panel";
import { setQuery } from "../../route";
import "../../styles/performance.css";
import { Capacity } from "./capacity";
import { Moves } from "./moves";
import { RequestTable } from "./requests";
import { OneService } from "./service";

const REFRESH_MS = 30_000;

export interface Windows {
  over: string;
  against: string;
}

export function Performance({ query }: PageProperties) {
  const windows = { over: query.get("over") ?? WINDOW, against: query.get("against") ?? "previous" };
  const name = query.get("service");
  return name ? <OneService key={name} name={name} windows={windows} query={query} /> : <AllServices windows={windows} query={query} />;
}

function AllServices({ windows, query }: { windows: Windows; query: URLSearchParams }) {
  const { over, against } = windows;
  const answer = usePoll((signal) => services(over, against, signal), REFRESH_MS, `services ${over} ${against}`);
  const all = answer.value?.services ?? [];
  return (
    <>
      <div class="row spread">
        <h1>Performance</h1>
        <WindowChoice windows={windows} />
      </div>
      <Trouble polled={answer} subject="Services" />
      <Notes notes={answer.value?.notes ?? []} />
      <Panel title={many(all.length, "service")} aside={comparison(windows)}>
        {answer.value && !all.length && (
          <Empty>
            No service is known: there are neither requests (performance.requests) nor rollups (silver.metrics) of one. The middleware of Nissa counts requests.
          </Empty>
        )}
        {all.length > 0 && <RequestTable rows={all.toSorted(busiest)} first="service" nameOf={(one) => <ServiceLink name={one.service} windows={windows} />} />}
      </Panel>
      <div class="sides">
        <Moves moves={answer.value?.moves} windows={windows} />
        <Capacity query={query} />
      </div>
    </>
  );
}

function busiest(one: Requests, other: Requests): number {
  return (other.now?.rate ?? -1) - (one.now?.rate ?? -1) || (one.service < other.service ? -1 : 1);
}

export function addressOfService(name: string, { over, against }: Windows): string {
  return `/performance?${new URLSearchParams({ service: name, ...(over === WINDOW ? {} : { over }), ...(against === "previous" ? {} : { against }) })}`;
}

export function ServiceLink({ name, windows }: { name: string; windows: Windows }) {
  if (!name) return <span class="muted">no service</span>;
  return (
    <a class="wrap" href={addressOfService(name, windows)}>
      {name}
    </a>
  );
}

export function comparison({ over, against }: Windows): string {
  const length = WINDOWS.find(([key]) => key === over)?.[1] ?? over;
  return `last ${length}, against the ${against === "week" ? `same ${length} a week ago` : `${length} before`}`;
}

export function WindowChoice({ windows: { over, against } }: { windows: Windows }) {
  return (
    <div class="row">
      <div class="group" role="group" aria-label="Window">
        {WINDOWS.map(([key, name]) => (
          <button key={key} class="button small" aria-pressed={key === over} onClick={() => setQuery({ over: key === WINDOW ? undefined : key })}>
            {name}
          </button>
        ))}
      </div>
      <div class="group" role="group" aria-label="Compared with">
        <button class="button small" aria-pressed={against === "previous"} onClick={() => setQuery({ against: undefined })}>
          just before
        </button>
        <button class="button small" aria-pressed={against === "week"} onClick={() => setQuery({ against: "week" })}>
          a week ago
        </button>
      </div>
    </div>
  );
}
