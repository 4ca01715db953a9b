// The way of a record through the daemon: rate, fill and breaker of each stage.
import { SINK } from "../../data/health";
import type { Level } from "../../data/level";
import { usePoll } from "../../data/poll";
import { instant } from "../../data/promql";
import type { Status } from "../../data/status";
import { count, percent, size } from "../../format";
import { Mark } from "../../parts/mark";
import { Bar } from "../../parts/panel";

interface Stage {
  name: string;
  level: Level;
  main: string;
  fact: string;
  link: string;
  fill?: number;
}

const RATES = {
  frames: "sum(rate(nissa_ingest_frames_total[1m]))",
  malformed: "sum(rate(nissa_ingest_malformed_total[1m]))",
  commits: "sum(rate(nissa_journal_commits_total[1m]))",
};
type Rates = Record<keyof typeof RATES, number>;

async function rates(signal: AbortSignal): Promise<Rates> {
  const names = Object.keys(RATES) as (keyof Rates)[];
  const values = await Promise.all(
    names.map(async (name) => {
      const { data } = await instant(RATES[name], undefined, signal);
      return data.resultType === "vector" ? Number(data.result[0]?.value[1] ?? 0) : 0;
    }),
  );
  return Object.fromEntries(names.map((name, at) => [name, values[at]])) as Rates;
}

function stages(status: Status, rate: Rates | undefined): Stage[] {
  const sources = Object.values(status.sources ?? {});
  const down = sources.filter((source) => !source.up).length;
  const breaker = status.breakers?.ingest?.state ?? "closed";
  const queue = status.safeguards?.mode.load_percent.queue ?? 0;
  const series = status.series;
  const journal = status.journal;
  const waiting = journal ? journal.appended_lsn - journal.durable_lsn : 0;
  const share = series ? series.active / series.limit : 0;
  return [
    {
      name: "Sources",
      level: down ? "bad" : "good",
      main: `${sources.length - down} of ${sources.length} up`,
      fact: `ingest breaker ${breaker}`,
      link: "/flow",
    },
    {
      name: "Decode",
      level: rate?.malformed ? "warn" : queue >= 50 ? "warn" : "good",
      main: `${count(rate?.frames)} frames/s`,
      fact: rate?.malformed ? `${count(rate.malformed)}/s malformed` : `queue ${percent(queue / 100)} full`,
      link: "/flow",
      fill: queue / 100,
    },
    {
      name: "Limit",
      level: share >= 1 ? "bad" : share >= 0.8 ? "warn" : "good",
      main: `${count(series?.active)} series`,
      fact: series?.refused ? `${count(series.refused)} refused` : `${percent(share)} of ${count(series?.limit)}`,
      link: "/series",
      fill: share,
    },
    {
      name: "Journal",
      level: breaker === "open" ? "bad" : journal?.failures ? "warn" : "good",
      main: `${count(rate?.commits)} commits/s`,
      fact: waiting ? `${count(waiting)} frames not durable yet` : `${size(journal?.bytes)} retained`,
      link: "/storage",
    },
    {
      name: "Tiers",
      level: status.ladder?.last_error ? "bad" : "good",
      main: `${count(status.blocks?.count)} blocks`,
      fact: `${count(status.head?.samples)} in the head`,
      link: "/storage",
    },
    sinkStage(status),
  ];
}

function sinkStage(status: Status): Stage {
  const sinks = Object.values(status.sinks ?? {});
  const failing = sinks.filter((sink) => SINK[sink.state] === "bad").length;
  const backlog = sinks.reduce((sum, sink) => sum + Number(sink.backlog_frames ?? 0), 0);
  return {
    name: "Sinks",
    level: !sinks.length ? "idle" : failing ? "bad" : "good",
    main: sinks.length ? `${sinks.length - failing} of ${sinks.length} up` : "none",
    fact: sinks.length ? `${count(backlog)} frames waiting` : "nothing is passed on",
    link: "/flow",
  };
}

export function Pipeline({ status }: { status: Status }) {
  const rate = usePoll(rates, 5_000, "rates");
  return (
    <section class="panel pipeline" aria-label="Pipeline">
      {stages(status, rate.value).map((stage) => (
        <a key={stage.name} class="stage" href={stage.link}>
          <h3>
            <Mark level={stage.level} />
            {stage.name}
          </h3>
          <strong class="number">{stage.main}</strong>
          <span class="small muted">{stage.fact}</span>
          {stage.fill !== undefined && <Bar share={stage.fill} level={stage.level} />}
        </a>
      ))}
    </section>
  );
}
