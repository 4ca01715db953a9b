// Who one is, the mode under load, and every setting in force.
import { useContext, useState } from "preact/hooks";
import type { PageProperties } from "../../app";
import { ask, change } from "../../data/http";
import { usePoll } from "../../data/poll";
import { logOut, session } from "../../data/session";
import { duration } from "../../format";
import { Action, Reader, useRefusal } from "../../parts/action";
import { Dialog } from "../../parts/dialog";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { Search } from "../../parts/search";
import { Tabs } from "../../parts/tabs";
import { setQuery } from "../../route";
import "../../styles/access.css";
import "../../styles/series.css";
import { Audit } from "./audit";
import { OwnPassword } from "./password";
import { Tokens } from "./tokens";
import { Users } from "./users";

interface Mode {
  mode: string;
  reason: string | null;
  forced: boolean;
  for_ms: number | null;
  load_percent: Record<string, number>;
}

const MODES = ["auto", "normal", "conservative", "emergency"];

/** How names of users begin whose password is at the OpenID provider. */
const OF_PROVIDER = "oidc:";

const TABS = [
  { key: "settings", name: "Settings" },
  { key: "access", name: "Access" },
  { key: "audit", name: "Audit" },
];

export function Settings({ query }: PageProperties) {
  const text = query.get("text") ?? "";
  const tab = query.get("tab") ?? "settings";
  const reader = useContext(Reader);
  const refusal = useRefusal("user.add");
  const openTo = refusal ? <Empty>{`Users, tokens and the audit log are shown to the role admin. You are ${reader?.user ?? "nobody"}, ${reader?.role ?? "without a role"}.`}</Empty> : undefined;
  return (
    <>
      <div class="row spread">
        <h1>{tab === "settings" ? "Settings" : tab === "access" ? "Access" : "Audit"}</h1>
        <Tabs tabs={TABS} chosen={tab} label="Parts" />
      </div>
      {tab === "settings" && (
        <>
          <ModePanel />
          <Search value={text} label="Search settings" onSearch={(written) => setQuery({ text: written })} />
          <InForce text={text} />
        </>
      )}
      {tab === "access" && (
        <>
          <SessionPanel />
          {openTo ?? (
            <div class="halves even">
              <Users />
              <Tokens />
            </div>
          )}
        </>
      )}
      {tab === "audit" && (openTo ?? <Audit query={query} />)}
    </>
  );
}

function SessionPanel() {
  const known = usePoll(session, 0, "session");
  const leave = async (): Promise<void> => {
    await logOut();
    window.location.assign("/");
  };
  const value = known.value;
  const [asking, setAsking] = useState(false);
  const [changed, setChanged] = useState(false);
  return (
    <Panel title="You">
      <Trouble polled={known} subject="Your session" />
      {value && (
        <div class="body row spread">
          <span>{value.access_enabled ? `${value.user ?? "nobody"}, ${value.role ?? "no role"}, by ${value.via}` : "Access control is off: everybody who reaches this address may do everything."}</span>
          {value.access_enabled && (
            <span class="row">
              {changed && (
                <span class="level-good small" role="status">
                  The password is changed.
                </span>
              )}
              {value.via === "session" && !value.user?.startsWith(OF_PROVIDER) && (
                <Action action="session.password" onClick={() => setAsking(true)}>
                  Change password
                </Action>
              )}
              <button class="button small" onClick={() => void leave()}>
                Log out
              </button>
            </span>
          )}
        </div>
      )}
      {asking && <OwnPassword user={value?.user ?? ""} onClose={() => setAsking(false)} onDone={() => setChanged(true)} />}
    </Panel>
  );
}

function ModePanel() {
  const mode = usePoll(async (signal) => (await ask<Mode>("/api/v1/mode", {}, signal)).data, 5_000, "mode");
  const [forcing, setForcing] = useState<string>();
  const value = mode.value;
  const force = async (fields: FormData): Promise<void> => {
    await change("/api/v1/mode", { mode: forcing, reason: String(fields.get("reason") ?? "") });
    mode.again();
  };
  return (
    <Panel title="Mode under load">
      <Trouble polled={mode} subject="The mode" />
      {value && (
        <div class="body stack">
          <p class="row">
            <strong>{value.mode}</strong>
            <span class="muted">{[value.forced ? "forced" : "", value.reason ?? "", value.for_ms ? `for ${duration(value.for_ms)}` : ""].filter(Boolean).join(", ")}</span>
            <span class="muted number">{Object.entries(value.load_percent).map(([name, load]) => `${name} ${load.toFixed(0)} %`).join(" · ")}</span>
          </p>
          <div class="group" role="group" aria-label="Force a mode">
            {MODES.map((name) => (
              <Action key={name} action="mode.force" pressed={value.forced ? value.mode === name : name === "auto"} onClick={() => setForcing(name)}>
                {name}
              </Action>
            ))}
          </div>
        </div>
      )}
      {forcing && (
        <Dialog title={forcing === "auto" ? "Let the load decide" : `Force ${forcing} mode`} action="Change the mode" onClose={() => setForcing(undefined)} onSubmit={force}>
          <p class="muted">{forcing === "auto" ? "The mode follows the load again." : "It stays until the load is let decide again, or until a restart."}</p>
          {forcing !== "auto" && (
            <label class="field">
              Reason
              <input name="reason" maxLength={200} />
            </label>
          )}
        </Dialog>
      )}
    </Panel>
  );
}

function InForce({ text }: { text: string }) {
  const flags = usePoll(async (signal) => (await ask<Record<string, string>>("/api/v1/status/flags", {}, signal)).data, 0, "flags");
  const rows = Object.entries(flags.value ?? {}).filter(([name, value]) => `${name} ${value}`.toLowerCase().includes(text.toLowerCase()));
  return (
    <Panel title="Settings in force" aside={`${rows.length}`}>
      <Trouble polled={flags} subject="Settings" />
      {flags.value && !rows.length && <Empty>No setting holds this text.</Empty>}
      <table>
        <tbody>
          {rows.map(([name, value]) => (
            <tr key={name}>
              <td class="mono wrap">{name}</td>
              <td class="mono wrap">{value}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}
