import { useState } from "preact/hooks";
import { ask, change, said } from "../../data/http";
import { usePoll } from "../../data/poll";
import { moment } from "../../format";
import { Action } from "../../parts/action";
import { Dialog } from "../../parts/dialog";
import { Empty, Panel, Trouble } from "../../parts/panel";

interface Pin {
  id: number;
  name: string;
  start_ms: number;
  end_ms: number;
}

/** Time ranges that retention leaves alone. */
export function Pins() {
  const pins = usePoll(async (signal) => (await ask<Pin[]>("/api/v1/pins", {}, signal)).data, 30_000, "pins");
  const [adding, setAdding] = useState(false);
  const [error, setError] = useState("");
  const remove = async (id: number): Promise<void> => {
    try {
      await change(`/api/v1/pins?id=${id}`, {}, { method: "DELETE" });
    } catch (failure) {
      setError(said(failure));
    }
    pins.again();
  };
  const add = async (fields: FormData): Promise<void> => {
    await change("/api/v1/pins", { name: String(fields.get("name")), start: String(fields.get("start")), end: String(fields.get("end")) });
    pins.again();
  };
  return (
    <Panel
      title="Pins"
      aside={
        <Action action="pin.add" onClick={() => setAdding(true)}>
          New pin
        </Action>
      }
    >
      <Trouble polled={error ? { error, at: undefined } : pins} subject="Pins" />
      {pins.value?.length === 0 && <Empty>Nothing is kept beyond its retention.</Empty>}
      <div class="scroll">
        <table>
          <tbody>
            {pins.value?.map((pin) => (
              <tr key={pin.id}>
                <td class="wrap">
                  {pin.name || `pin ${pin.id}`}
                  <div class="small muted number">{`${moment(pin.start_ms)} – ${moment(pin.end_ms)}`}</div>
                </td>
                <td class="number">
                  <Action action="pin.remove" onClick={() => void remove(pin.id)}>
                    Remove
                  </Action>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {adding && (
        <Dialog title="Keep a time range" action="Keep" onClose={() => setAdding(false)} onSubmit={add}>
          <label class="field">
            Name
            <input name="name" maxLength={100} placeholder="the outage" />
          </label>
          <label class="field">
            From (RFC 3339, or relative: -1h)
            <input name="start" required defaultValue="-1h" />
          </label>
          <label class="field">
            To
            <input name="end" required defaultValue="now" />
          </label>
        </Dialog>
      )}
    </Panel>
  );
}
