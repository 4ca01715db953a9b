// Service level agreements: how services were, whether each agreement is met, every day of its window, and its versions.
import { useState } from "preact/hooks";
import type { PageProperties } from "../../app";
import { usePoll } from "../../data/poll";
import { agreements, definitions, verification, type Agreement, type Definition } from "../../data/sla";
import { whole } from "../../format";
import { Action } from "../../parts/action";
import { Empty, Trouble } from "../../parts/panel";
import { setQuery } from "../../route";
import "../../styles/sla.css";
import { OneAgreement } from "./agreement";
import { DefinitionForm } from "./form";
import { Heartbeats } from "./heartbeats";

export function Agreements({ query }: PageProperties) {
  const service = query.get("service") ?? "";
  const answer = usePoll(agreements, 60_000, "sla");
  const known = usePoll(definitions, 60_000, "sla definitions");
  const [adding, setAdding] = useState(false);
  const again = (): void => {
    answer.again();
    known.again();
  };
  const shown = answer.value?.filter((one) => !service || one.service === service).sort(inForceFirst);
  return (
    <>
      <div class="row spread">
        <h1>Agreements</h1>
        <span class="row">
          <Verified />
          <Action action="sla.define" class="main" onClick={() => setAdding(true)}>
            New agreement
          </Action>
        </span>
      </div>
      {service && (
        <p class="row small">
          <span class="muted">of the service</span> <span class="chip">{service}</span>
          <button class="button small" onClick={() => setQuery({ service: undefined })}>
            All services
          </button>
        </p>
      )}
      <Trouble polled={answer} subject="Agreements" />
      {shown?.length === 0 && <Empty>{`No service level agreement${service ? " of this service" : ""} is defined. They come from here, from sla.files, or from the API.`}</Empty>}
      {shown && shown.length > 0 && <Heartbeats service={service} by={query.get("beats") === "hour" ? "hour" : "day"} definitions={known.value} />}
      {shown?.map((one) => (
        <OneAgreement key={one.id} agreement={one} versions={known.value?.get(one.id) ?? noVersions} day={query.get("sla") === one.id ? (query.get("day") ?? undefined) : undefined} onChanged={again} />
      ))}
      {adding && <DefinitionForm onClose={() => setAdding(false)} onDone={again} />}
    </>
  );
}

const noVersions: Definition[] = [];

function inForceFirst(one: Agreement, other: Agreement): number {
  return Number(one.active_to_ms > 0) - Number(other.active_to_ms > 0);
}

/** Whether the chain of snapshots holds. */
function Verified() {
  const proof = usePoll(verification, 300_000, "sla chain");
  if (proof.error) return <span class="small level-bad wrap">{`The chain of snapshots does not hold: ${proof.error}`}</span>;
  return <span class="small muted">{proof.value === undefined ? "" : `${whole(proof.value)} snapshots, none altered`}</span>;
}
