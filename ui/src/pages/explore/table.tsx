// The values of all expressions at one time.
import { said } from "../../data/http";
import { usePoll } from "../../data/poll";
import { instant, type InstantResult } from "../../data/promql";
import { moment, sample, series } from "../../format";
import { Empty, Notes, Panel, Trouble } from "../../parts/panel";

const ROWS_MAX = 1_000;

interface Row {
  name: string;
  value: string;
}

function rows(result: InstantResult, expression: string): Row[] {
  if (result.resultType === "scalar" || result.resultType === "string") return [{ name: expression, value: result.result[1] }];
  if (result.resultType === "vector") return result.result.map(({ metric, value }) => ({ name: series(metric) === "{}" ? expression : series(metric), value: value[1] }));
  return result.result.map(({ metric, values }) => ({ name: series(metric), value: `${values.length} samples, last ${sample(values.at(-1)?.[1] ?? "")}` }));
}

async function ask(expressions: string[], time: number | undefined, signal: AbortSignal): Promise<{ rows: Row[]; notes: string[]; at: number }> {
  const found: Row[] = [];
  const notes: string[] = [];
  for (const expression of expressions) {
    try {
      const answer = await instant(expression, time, signal, ROWS_MAX);
      found.push(...rows(answer.data, expression));
      notes.push(...answer.notes);
    } catch (error) {
      signal.throwIfAborted();
      notes.push(`${expression}: ${said(error)}`);
    }
  }
  return { rows: found, notes, at: time ?? Date.now() };
}

export function ValueTable({ expressions, endMs }: { expressions: string[]; endMs: number | undefined }) {
  const answer = usePoll((signal) => ask(expressions, endMs, signal), endMs ? 0 : 10_000, JSON.stringify([expressions, endMs]));
  return (
    <>
      <Trouble polled={answer} subject="Values are" />
      <Notes notes={answer.value?.notes ?? []} />
      <Panel title={`${answer.value?.rows.length ?? 0} series`} aside={answer.value && moment(answer.value.at)}>
        {answer.value?.rows.length === 0 && <Empty>No series at this time.</Empty>}
        <table>
          <tbody>
            {answer.value?.rows.map(({ name, value }) => (
              <tr key={name}>
                <td class="mono wrap">{name}</td>
                <td class="number mono" title={value}>
                  {sample(value)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Panel>
    </>
  );
}
