// One service: its requests with graphs, routes, what moved, weeks and months, errors, limits.
import { change, service, took, WINDOW_MS, type Service } from "../../data/performance";
import { usePoll } from "../../data/poll";
import { count, many, percent } from "../../format";
import { Empty, Notes, Panel, Trouble } from "../../parts/panel";
import "../../styles/explore.css";
import "../../styles/slos.css";
import { Capacity } from "./capacity";
import { Moves } from "./moves";
import { points, RequestTable } from "./requests";
import { RecentErrors } from "./errors";
import { comparison, WindowChoice, type Windows } from "./index";
import { RedGraph } from "./red";
import { Trends } from "./trends";

const REFRESH_MS = 30_000;

export function OneService({ name, windows, query }: { name: string; windows: Windows; query: URLSearchParams }) {
  const { over, against } = windows;
  const answer = usePoll((signal) => service(name, over, against, signal), REFRESH_MS, `service ${name} ${over} ${against}`);
  const value = answer.value;
  return (
    <>
      <p class="row spread small">
        <span>
          <a href="/performance">Performance</a> <span class="muted">/ service</span>
        </span>
        <span class="row">
          <a href={`/incidents?${new URLSearchParams({ service: name })}`}>Incidents</a>
          <a href={`/sla?${new URLSearchParams({ service: name })}`}>Agreements</a>
        </span>
      </p>
      <div class="row spread">
        <h1 class="wrap">{name}</h1>
        <WindowChoice windows={windows} />
      </div>
      <Trouble polled={answer} subject="The service" />
      <Notes notes={value?.notes ?? []} />
      {value?.requests.map((one) => (
        <RequestPanel key={one.histogram} requests={one} windows={windows} />
      ))}
      {value && !value.requests.length && (
        <section class="panel">
          <Empty>No histogram of requests names this service in these windows.</Empty>
        </section>
      )}
      {value && value.routes.length > 0 && (
        <Panel title={many(value.routes.length, "route")} aside={comparison(windows)}>
          <RequestTable rows={value.routes.toSorted((one, other) => (other.now?.rate ?? 0) - (one.now?.rate ?? 0))} first="route" nameOf={(one) => <span class="mono">{one.route}</span>} />
        </Panel>
      )}
      <div class="sides">
        <div class="stack">
          <Moves moves={value?.moves} windows={windows} own />
          <Capacity query={query} service={name} rate={rateOf(value)} />
        </div>
        <RecentErrors name={name} />
      </div>
      <Trends name={name} />
    </>
  );
}

/** The rate of all requests, which a limit may be asked about. */
function rateOf(value: Service | undefined): string {
  const graphs = value?.requests[0]?.graphs;
  return graphs ? `sum(${graphs.rate})` : "";
}

function RequestPanel({ requests, windows }: { requests: Service["requests"][number]; windows: Windows }) {
  const { now, before, graphs, histogram } = requests;
  const spanMs = WINDOW_MS[windows.over] ?? 0;
  const figures: [string, string, string][] = now
    ? [
        ["requests", `${count(now.rate)}/s`, change(now.rate, before?.rate)],
        ["errors", percent(now.error_ratio ?? undefined), before ? points(now, before) : ""],
        ...(["p50", "p95", "p99"] as const).map((name): [string, string, string] => [
          name,
          took(histogram, now[name], now.open_ended.includes(name)),
          change(now[name], before?.[name]),
        ]),
      ]
    : [];
  return (
    <section class="stack" aria-label={histogram}>
      <section class="panel body stack" aria-label="Requests">
        <p class="row spread small muted">
          <span class="mono wrap">{histogram}</span>
          <span>{comparison(windows)}</span>
        </p>
        {now ? (
          <dl class="figures">
            {figures.map(([name, value, moved]) => (
              <div key={name}>
                <dt class="small muted">{name}</dt>
                <dd class="number">
                  {value} <span class="small muted change">{moved}</span>
                </dd>
              </div>
            ))}
          </dl>
        ) : (
          <p class="muted">No requests in this window.</p>
        )}
      </section>
      <div class="graphs red">
        <RedGraph title="Requests per second" expression={graphs.rate} spanMs={spanMs} nameOf={(labels) => Object.values(labels).join(" ") || "all"} />
        <RedGraph title="Errors, percent" expression={graphs.errors} spanMs={spanMs} scale={100} nameOf={() => "share of requests"} />
        <RedGraph title={`Durations${histogram.endsWith("_seconds") ? ", seconds" : ""}`} expression={graphs.durations} spanMs={spanMs} nameOf={({ quantile }) => `p${Number(quantile) * 100}`} />
      </div>
    </section>
  );
}
