import { accounting } from "../../data/flow";
import { usePoll } from "../../data/poll";
import { count, whole } from "../../format";
import { Mark } from "../../parts/mark";
import { Panel, Trouble } from "../../parts/panel";
import { exploring } from "../../route";

/** Of every sender's protocol, where its records went. */
export function Balances() {
  const answer = usePoll(accounting, 5_000, "accounting");
  const rows = Object.entries(answer.value?.sources ?? {}).sort(([, one], [, other]) => other.received - one.received);
  return (
    <Panel title="Accounting" aside="received = stored + duplicate + refused + in flight">
      <Trouble polled={answer} subject="Accounting" />
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th>source</th>
              <th class="number">frames</th>
              <th class="number">received</th>
              <th class="number">stored</th>
              <th class="number">duplicate</th>
              <th class="number">refused</th>
              <th>balance</th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, row]) => {
              const refused = Object.values(row.refused).reduce((sum, number) => sum + number, 0);
              const reasons = Object.entries(row.refused).map(([reason, number]) => `${reason} ${count(number)}`);
              return (
                <tr key={name}>
                  <td>
                    <a class="mono" href={exploring(`rate(nissa_ingest_received_total{source=${JSON.stringify(name)}}[5m])`)}>
                      {name}
                    </a>
                  </td>
                  <td class="number">{whole(row.frames)}</td>
                  <td class="number">{whole(row.received)}</td>
                  <td class="number">{whole(row.stored)}</td>
                  <td class="number">{whole(row.duplicate)}</td>
                  <td class="number" title={reasons.join(", ")}>
                    {refused || row.malformed ? `${whole(refused)}${reasons.length ? ` (${reasons.join(", ")})` : ""}${row.malformed ? ` + ${count(row.malformed)} malformed` : ""}` : "0"}
                  </td>
                  <td class="nowrap">
                    <Mark level={row.unaccounted ? "bad" : "good"} word="" /> {row.unaccounted ? `${whole(row.unaccounted)} unaccounted` : "exact"}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
