// What people do about an incident: the buttons, and the question that each asks.
import { useState } from "preact/hooks";
import { edit, incidents, SEVERITIES, take, URGENCIES, type Room, type Step } from "../../data/incidents";
import { usePoll } from "../../data/poll";
import { Action } from "../../parts/action";
import { Dialog, NameField } from "../../parts/dialog";
import { Trouble } from "../../parts/panel";

interface Way {
  step: Step | "change";
  name: string;
  states: string[];
}

const UNDER_WAY = ["open", "acknowledged"];
const WAYS: Way[] = [
  { step: "acknowledge", name: "Acknowledge", states: ["open"] },
  { step: "resolve", name: "Resolve", states: UNDER_WAY },
  { step: "reopen", name: "Reopen", states: ["resolved"] },
  { step: "comment", name: "Comment", states: [...UNDER_WAY, "resolved", "merged"] },
  { step: "change", name: "Assign, change", states: UNDER_WAY },
  { step: "merge", name: "Merge", states: UNDER_WAY },
];

export function Steps({ room, onDone }: { room: Room; onDone: () => void }) {
  const [way, setWay] = useState<Way>();
  const send = async (fields: FormData): Promise<void> => {
    if (!way) return;
    const text = (name: string): string => String(fields.get(name) ?? "");
    const user = text("user");
    if (way.step === "change") await edit(room.id, { user, ...changed(room, text) });
    else await take(room.id, way.step, { user, ...(way.step === "merge" ? { into: text("into") } : { comment: text("comment") }) });
    onDone();
  };
  return (
    <div class="row">
      {WAYS.filter(({ states }) => states.includes(room.state)).map((one) => (
        <Action key={one.step} action={`incident.${one.step}`} class={one.step === "acknowledge" ? "main" : ""} onClick={() => setWay(one)}>
          {one.name}
        </Action>
      ))}
      <a class="button" href={`/api/v1/incidents/${room.id}/postmortem`} download={`incident-${room.id}.md`}>
        Post-mortem
      </a>
      {way && (
        <Dialog title={`${way.name}: incident ${room.id}`} action={way.step === "change" ? "Change" : way.name} onClose={() => setWay(undefined)} onSubmit={send}>
          {way.step === "merge" ? (
            <MergeField room={room} />
          ) : way.step === "change" ? (
            <ChangeFields room={room} />
          ) : (
            <label class="field">
              Comment
              <textarea name="comment" rows={3} maxLength={4_000} required={way.step === "comment"} />
            </label>
          )}
          <NameField />
        </Dialog>
      )}
    </div>
  );
}

const EDITED = ["title", "service", "severity", "urgency", "responder"] as const;

/** The fields that differ. An empty one takes the value away. */
function changed(room: Room, text: (name: string) => string): Record<string, string> {
  return Object.fromEntries(EDITED.filter((name) => text(name) !== room[name]).map((name) => [name, text(name)]));
}

function ChangeFields({ room }: { room: Room }) {
  return (
    <>
      <label class="field">
        Responder
        <input name="responder" maxLength={200} defaultValue={room.responder} />
      </label>
      <label class="field">
        Title
        <input name="title" required maxLength={1_024} defaultValue={room.title} />
      </label>
      <label class="field">
        Service
        <input name="service" maxLength={200} defaultValue={room.service} />
      </label>
      <div class="two-fields">
        <Choice name="severity" label="Severity" all={SEVERITIES} chosen={room.severity} />
        <Choice name="urgency" label="Urgency" all={URGENCIES} chosen={room.urgency} />
      </div>
    </>
  );
}

function Choice({ name, label, all, chosen }: { name: string; label: string; all: string[]; chosen: string }) {
  return (
    <label class="field">
      {label}
      <select name={name}>
        {all.map((one) => (
          <option key={one} selected={one === chosen}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The incident that goes on: one of those under way, those of the same service first. */
function MergeField({ room }: { room: Room }) {
  const answer = usePoll((signal) => incidents({ states: UNDER_WAY, service: "", before: "" }, signal), 0, "to merge into");
  const others = (answer.value ?? []).filter(({ id }) => id !== room.id).sort((one, other) => Number(other.service === room.service) - Number(one.service === room.service));
  return (
    <>
      <Trouble polled={answer} subject="Incidents" />
      <label class="field">
        Into the incident that goes on
        <select name="into" required>
          {others.map(({ id, title, service }) => (
            <option key={id} value={id}>
              {`#${id} ${title}${service ? ` (${service})` : ""}`}
            </option>
          ))}
        </select>
      </label>
      <p class="muted small">{answer.value && !others.length ? "No other incident is under way." : "It takes over alerts and key. A merged incident stays merged."}</p>
    </>
  );
}
