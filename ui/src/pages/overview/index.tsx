// The first screen: how things are, in one viewport.
import { activeAlerts } from "../../data/alerts";
import { findings, verdict } from "../../data/health";
import { getJson } from "../../data/http";
import { usePoll } from "../../data/poll";
import type { Status } from "../../data/status";
import { useStream } from "../../data/stream";
import { Trouble } from "../../parts/panel";
import { FiringAlerts } from "./alerts";
import { Budgets } from "./budgets";
import { LatestEvents } from "./events";
import { OpenIncidents } from "./incidents";
import { Pipeline } from "./pipeline";
import { Subsystems } from "./subsystems";
import { Tiles } from "./tiles";
import { VerdictLine } from "./verdict";

const STATUS_MS = 2_000;
const ALERTS_MS = 5_000;

export function Overview() {
  const status = usePoll((signal) => getJson<Status>("/api/status", signal), STATUS_MS, "status");
  const alerts = usePoll(activeAlerts, ALERTS_MS, "alerts");
  useStream("alerts", alerts.again);
  const found = status.value ? findings(status.value) : [];
  return (
    <>
      <Trouble polled={status} subject="This page is" />
      {status.value && <VerdictLine status={status.value} verdict={verdict(status.value, found, alerts.value ?? [])} />}
      <Tiles />
      {status.value?.journal && <Pipeline status={status.value} />}
      <div class="halves">
        <div class="stack">
          <Subsystems findings={found} />
          <LatestEvents />
        </div>
        <div class="stack">
          <OpenIncidents />
          <FiringAlerts alerts={alerts} />
          <Budgets />
        </div>
      </div>
    </>
  );
}
