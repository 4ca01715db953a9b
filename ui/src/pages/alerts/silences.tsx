import { useState } from "preact/hooks";
import { expire, silences, type Matcher } from "../../data/alerts";
import { said } from "../../data/http";
import { usePoll } from "../../data/poll";
import { duration, moment } from "../../format";
import { Action } from "../../parts/action";
import { Empty, Panel, Trouble } from "../../parts/panel";
import { NewSilence } from "./new_silence";

function shown({ name, value, isRegex, isEqual }: Matcher): string {
  return `${name}${isEqual ? "=" : "!"}${isRegex ? "~" : isEqual ? "" : "="}${JSON.stringify(value)}`;
}

/** Silences in force or to come. */
export function Silences() {
  const all = usePoll(silences, 10_000, "silences");
  const [adding, setAdding] = useState(false);
  const [error, setError] = useState("");
  const end = async (id: string): Promise<void> => {
    try {
      await expire(id);
      all.again();
    } catch (failure) {
      setError(said(failure));
    }
  };
  return (
    <Panel
      title="Silences"
      aside={
        <Action action="silence.set" onClick={() => setAdding(true)}>
          New silence
        </Action>
      }
    >
      <Trouble polled={error ? { error, at: undefined } : all} subject="Silences" />
      {all.value?.length === 0 && <Empty>No silence is in force.</Empty>}
      <div class="scroll">
        <table>
          <tbody>
            {all.value?.map((one) => (
              <tr key={one.id}>
                <td class="mono wrap">{one.matchers.map(shown).join(", ")}</td>
                <td class="wrap">{`${one.comment} — ${one.createdBy}`}</td>
                <td class="number" title={moment(Date.parse(one.endsAt))}>
                  {one.status.state === "active" ? `${duration(Date.parse(one.endsAt) - Date.now())} left` : `from ${moment(Date.parse(one.startsAt))}`}
                </td>
                <td class="number">
                  <Action action="silence.end" onClick={() => void end(one.id)}>
                    Expire
                  </Action>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {adding && (
        <NewSilence
          labels={{}}
          onClose={() => {
            setAdding(false);
            all.again();
          }}
        />
      )}
    </Panel>
  );
}
