// Reads an answer of /api/v1/query_drawing: a head in JSON, then the numbers.
import { series } from "../format";

export interface Head {
  start_ms: number;
  step_ms: number;
  steps: number;
  planes: string[];
  columns: number;
  series: Record<string, string>[];
  warnings: string[];
  infos: string[];
}

export interface Drawing {
  head: Head;
  names: string[];
  /** Of each series its planes, one after the other, each with `head.columns` numbers; NaN is a gap. */
  numbers: Float64Array;
}

export function readDrawing(body: ArrayBuffer, expression: string): Drawing {
  const length = new DataView(body).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(body, 4, length))) as Head;
  const names = head.series.map((labels) => (Object.keys(labels).length ? series(labels) : expression));
  return { head, names, numbers: new Float64Array(body, 4 + length) };
}

/** Seconds at which each column begins. */
export function timesOf({ start_ms, step_ms, steps, columns }: Head): number[] {
  return Array.from({ length: columns }, (_, column) => (start_ms + Math.ceil((column * steps) / columns) * step_ms) / 1_000);
}

/** Numbers between two series. */
export function rowOf({ planes, columns }: Head): number {
  return planes.length * columns;
}

/** Last, least, mean and greatest value of each series, in this order; NaN where it has none. The mean is of the last values of columns. */
export function summaries({ head, names, numbers }: Drawing): Float64Array {
  const { columns, planes } = head;
  const found = new Float64Array(names.length * 4).fill(NaN);
  const [least, greatest, last] = planes.length > 1 ? [columns, 2 * columns, 3 * columns] : [0, 0, 0];
  names.forEach((_, row) => {
    const base = row * rowOf(head);
    let [low, high, sum, count, newest] = [Infinity, -Infinity, 0, 0, NaN];
    for (let column = 0; column < columns; column += 1) {
      const value = numbers[base + last + column] as number;
      if (Number.isNaN(value)) continue;
      low = Math.min(low, numbers[base + least + column] as number);
      high = Math.max(high, numbers[base + greatest + column] as number);
      sum += value;
      count += 1;
      newest = value;
    }
    if (count) found.set([newest, low, sum / count, high], row * 4);
  });
  return found;
}
