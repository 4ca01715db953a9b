// The worker behind one graph: asks for its numbers, keeps them where they are many, and draws those as a density.
import type { Asked, FromWorker, LoadRequest, ToWorker } from "../data/drawing";
import { readDrawing, rowOf, summaries, timesOf, type Drawing } from "./answer";
import { density, painted } from "./density";

const TOO_LARGE = 422;
const COARSER_TIMES = 3;

const TIMEOUT_MS = 120_000;

let kept: Drawing | undefined;
let asking = new AbortController();

self.onmessage = (message: MessageEvent<Asked<ToWorker>>) => {
  const { id, ask } = message.data;
  const answer = (value: FromWorker, transfer: Transferable[] = []): void => self.postMessage({ id, answer: value }, { transfer });
  if (ask.type === "load") void load(ask, answer);
  else if (ask.type === "paint") {
    if (!kept) return answer({ type: "error", status: 0, error: "nothing is loaded" });
    const found = density(kept, ask);
    const pixels = painted(found, ask.colours);
    answer({ type: "painted", pixels, most: found.most }, [pixels.buffer]);
  } else answer(ask.row === undefined ? nearest(ask.column, ask.value) : lineOf(ask.row));
};

async function load(ask: LoadRequest, answer: (value: FromWorker, transfer?: Transferable[]) => void): Promise<void> {
  const started = performance.now();
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  try {
    let [drawing, resolution] = await fetched(ask, ask.stepS, signal);
    if (ask.fineStepS < ask.stepS && drawing.names.length && drawing.names.length <= ask.fineSeriesMax) {
      [drawing, resolution] = await fetched(ask, ask.fineStepS, signal);
    }
    const { head, names, numbers } = drawing;
    const figures = summaries(drawing);
    const times = timesOf(head);
    const dense = names.length > ask.linesMax;
    kept = dense ? drawing : undefined;
    answer(
      {
        type: "loaded",
        times,
        names,
        series: dense ? [] : head.series,
        planes: head.planes,
        stepS: head.step_ms / 1_000,
        figures,
        numbers: dense ? new Float64Array() : numbers,
        notes: [...head.warnings, ...head.infos],
        resolution,
        tookMs: performance.now() - started,
      },
      dense ? [figures.buffer] : [figures.buffer, numbers.buffer],
    );
  } catch (error) {
    const status = error instanceof Refused ? error.status : 0;
    answer({ type: "error", status, error: error instanceof Error ? error.message : String(error) });
  }
}

class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** The drawing with this step; with a greater one where the daemon refuses so many values. */
async function fetched(ask: LoadRequest, stepS: number, signal: AbortSignal): Promise<[Drawing, string]> {
  for (let [time, step] = [0, stepS]; ; time += 1, step *= 2) {
    const end = Math.floor(ask.endS / Math.min(step, ask.gridS)) * Math.min(step, ask.gridS);
    const start = end - Math.floor(ask.spanS / step) * step;
    const fields = { query: ask.expression, start, end, step, columns: ask.columns, limit: ask.seriesMax };
    const address = `/api/v1/query_drawing?${new URLSearchParams(Object.entries(fields).map(([name, value]) => [name, String(value)]))}`;
    const response = await fetch(address, { signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) });
    if (response.ok) return [readDrawing(await response.arrayBuffer(), ask.expression), response.headers.get("X-Nissa-Resolution") ?? ""];
    const text = await response.text();
    if (response.status !== TOO_LARGE || time >= COARSER_TIMES || !text.includes("over the limit")) throw new Refused(response.status, errorOf(text, response.status));
  }
}

function errorOf(text: string, status: number): string {
  try {
    return (JSON.parse(text) as { error?: string }).error ?? `HTTP ${status}`;
  } catch {
    return `HTTP ${status}`;
  }
}

/** The line that passes closest to a value in a column. */
function nearest(column: number, value: number): FromWorker {
  let best = -1;
  let distance = Infinity;
  if (kept) {
    const { head, names, numbers } = kept;
    const last = (head.planes.length - 1) * head.columns;
    for (let row = 0; row < names.length; row += 1) {
      const away = Math.abs((numbers[row * rowOf(head) + last + column] as number) - value);
      if (away < distance) [best, distance] = [row, away];
    }
  }
  return lineOf(best);
}

function lineOf(row: number): FromWorker {
  if (!kept || row < 0) return { type: "line", row: -1, values: [] };
  const { head, numbers } = kept;
  const begin = row * rowOf(head) + (head.planes.length - 1) * head.columns;
  return { type: "line", row, values: Array.from(numbers.subarray(begin, begin + head.columns), (value) => (Number.isNaN(value) ? null : value)) };
}
