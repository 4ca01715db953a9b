import { useState } from "preact/hooks";
import { letters, settle, type Letter } from "../../data/flow";
import { said } from "../../data/http";
import { usePoll } from "../../data/poll";
import { count, moment, series } from "../../format";
import { Action } from "../../parts/action";
import { Dialog } from "../../parts/dialog";
import { Trouble } from "../../parts/panel";

const SHOWN_MAX = 100;
const REFRESH_MS = 10_000;

/** Samples that a sink has refused, to be sent again or forgotten. */
export function DeadLetters({ sink, total, onChange }: { sink: string; total: number; onChange: () => void }) {
  const answer = usePoll((signal) => letters(sink, SHOWN_MAX, signal), REFRESH_MS, sink);
  const [dropped, setDropped] = useState<Letter>();
  const [outcome, setOutcome] = useState("");
  const act = async (action: "replay" | "drop", letter?: number): Promise<void> => {
    try {
      const done = await settle(sink, action, letter);
      setOutcome(JSON.stringify((done as { data?: unknown }).data ?? {}).replace(/[{}"]/g, ""));
    } catch (failure) {
      setOutcome(said(failure));
    }
    onChange();
    answer.again();
  };
  return (
    <section aria-label="Dead letters">
      <div class="row spread">
        <h3>{`${count(total)} dead letters`}</h3>
        <div class="row">
          <span class="small muted" role="status">
            {outcome}
          </span>
          <Action action="dead_letters.replay" onClick={() => void act("replay")}>
            Send all again
          </Action>
        </div>
      </div>
      <Trouble polled={answer} subject="Dead letters" />
      {total > SHOWN_MAX && <p class="small muted">{`The oldest ${SHOWN_MAX} are listed.`}</p>}
      <div class="scroll">
        <table>
          <tbody>
            {answer.value?.map((letter) => (
              <tr key={letter.id}>
                <td class="number muted">{moment(letter.first_seen_ms)}</td>
                <td class="mono wrap">{series(letter.labels)}</td>
                <td class="wrap">{letter.reason}</td>
                <td class="nowrap">
                  <Action action="dead_letters.replay" onClick={() => void act("replay", letter.id)}>
                    Send again
                  </Action>{" "}
                  <Action action="dead_letters.drop" onClick={() => setDropped(letter)}>
                    Forget
                  </Action>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {dropped && (
        <Dialog title="Forget this dead letter?" action="Forget" onClose={() => setDropped(undefined)} onSubmit={() => act("drop", dropped.id)}>
          <p class="wrap">{`${series(dropped.labels)} will never be sent to ${sink}. It stays in Nissa. This cannot be undone.`}</p>
        </Dialog>
      )}
    </section>
  );
}
