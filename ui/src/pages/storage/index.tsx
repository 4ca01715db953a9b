// What is on disk: tiers, blocks, growth, jobs, pins, quarantine.
import { getJson } from "../../data/http";
import { usePoll } from "../../data/poll";
import { instant } from "../../data/promql";
import type { Status } from "../../data/status";
import { count, duration, moment, percent, size, whole } from "../../format";
import { Mark } from "../../parts/mark";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { exploring } from "../../route";
import "../../styles/storage.css";
import { Figure } from "../flow/sinks";
import { DiskForecast } from "./forecast";
import { Pins } from "./pins";

const GROWTH = "deriv(sum(nissa_blocks_bytes)[6h:1m]) * 86400";

async function growth(signal: AbortSignal): Promise<number | undefined> {
  const { data } = await instant(GROWTH, undefined, signal);
  return data.resultType === "vector" && data.result[0] ? Number(data.result[0].value[1]) : undefined;
}

export function Storage() {
  const status = usePoll((signal) => getJson<Status>("/api/status", signal), 5_000, "status");
  const value = status.value;
  return (
    <>
      <h1>Storage</h1>
      <Trouble polled={status} subject="This page is" />
      {value && <Sizes status={value} />}
      <DiskForecast />
      <div class="halves">
        <div class="stack">
          {value?.ladder && <Tiers status={value} />}
          {value?.maintenance && <Jobs maintenance={value.maintenance} />}
        </div>
        <div class="stack">
          {value?.maintenance && <Damage maintenance={value.maintenance} />}
          <Pins />
        </div>
      </div>
    </>
  );
}

function Sizes({ status }: { status: Status }) {
  const grown = usePoll(growth, 60_000, "growth");
  const { blocks, journal, head, row_groups: cache, maintenance } = status;
  const asked = (cache?.hits ?? 0) + (cache?.misses ?? 0);
  return (
    <Panel title="On disk" aside={<span class="mono wrap">{status.data_dir}</span>}>
      <div class="body">
        <dl class="figures">
          <Figure name="blocks" value={`${size(blocks?.bytes)} in ${whole(blocks?.count)} files`} />
          <Figure name="samples" value={count(blocks?.samples)} />
          <Figure name="bytes per sample" value={blocks?.samples ? count(blocks.bytes / blocks.samples) : "–"} />
          <div>
            <dt class="small muted">growth</dt>
            <dd class="number">
              <a href={exploring(GROWTH)}>{grown.value === undefined ? "–" : `${size(Math.round(grown.value))} a day`}</a>
            </dd>
          </div>
          <Figure name="events" value={count(blocks?.events)} />
          <Figure name="journal" value={`${size(journal?.bytes)} in ${whole(journal?.segments)} segments`} />
          <Figure name="in memory" value={`${count(head?.samples)} samples`} />
          <Figure name="cache hits" value={asked ? percent((cache?.hits ?? 0) / asked) : "–"} />
          <Figure name="deleted by age" value={`${count(maintenance?.dropped.rows)} rows, ${size(maintenance?.dropped.bytes)}`} />
          <Figure name="deletions waiting" value={whole(status.deletions?.tombstones)} />
        </dl>
      </div>
    </Panel>
  );
}

function Tiers({ status }: { status: Status }) {
  const kinds = status.blocks?.kinds ?? {};
  return (
    <Panel title="Tiers" aside={status.ladder?.last_error}>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>tier</th>
              <th class="number">blocks</th>
              <th class="number">written until</th>
              <th class="number">lag</th>
              <th class="number">windows</th>
              <th class="number">late windows</th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <td>raw</td>
              <td class="number">{whole(kinds.raw)}</td>
              <td class="number">{status.head?.min_ms ? moment(status.head.min_ms) : "–"}</td>
              <td class="number">–</td>
              <td class="number">–</td>
              <td class="number">–</td>
            </tr>
            {Object.entries(status.ladder?.tiers ?? {}).map(([name, tier]) => (
              <tr key={name}>
                <td>{name}</td>
                <td class="number">{whole(kinds[name] ?? 0)}</td>
                <td class="number">{tier.written_until_ms ? moment(tier.written_until_ms) : "–"}</td>
                <td class="number">{tier.lag_ms === null ? "–" : duration(tier.lag_ms)}</td>
                <td class="number">{count(tier.windows)}</td>
                <td class="number">{count(tier.late_windows)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

type Maintenance = NonNullable<Status["maintenance"]>;

function Damage({ maintenance }: { maintenance: Maintenance }) {
  const { quarantine, scrub } = maintenance;
  return (
    <Panel title="Integrity" aside={`${count(scrub.files)} files, ${size(scrub.bytes)} read back since start`}>
      {quarantine.files.length === 0 && <Empty>No block is damaged.</Empty>}
      {quarantine.files.length > 0 && (
        <div class="body stack">
          <p class="row level-bad">
            <Mark level="bad" word="" />
            {`${whole(quarantine.blocks)} blocks with ${whole(quarantine.rows)} rows are in quarantine: queries leave them out, and say so.`}
          </p>
          <ul class="stack tight">
            {quarantine.files.map((file) => (
              <li key={file} class="note level-bad mono wrap">
                {file}
              </li>
            ))}
          </ul>
          <p class="small muted">The files are kept as they are. A copy from a backup or a sink of files replaces them.</p>
        </div>
      )}
    </Panel>
  );
}

function Jobs({ maintenance }: { maintenance: Maintenance }) {
  return (
    <Panel title="Maintenance">
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>job</th>
              <th class="number">runs</th>
              <th class="number">failures</th>
              <th>last error</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(maintenance.jobs).map(([name, job]) => (
              <tr key={name}>
                <td class="nowrap">
                  <Mark level={job.last_error ? "bad" : job.runs ? "good" : "idle"} word="" /> {name.replaceAll("_", " ")}
                </td>
                <td class="number">{whole(job.runs)}</td>
                <td class="number">{whole(job.failures)}</td>
                <td class="wrap muted">{job.last_error}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
