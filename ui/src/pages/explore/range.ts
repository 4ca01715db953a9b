// Answers of range queries as lines over one grid of times.
import type { Drawer, Loaded } from "../../data/drawing";
import { PALETTE, type Line } from "../../parts/graph";
import { stepOf } from "./state";

/** Series of one expression that are asked for. */
export const SERIES_MAX = 10_000;
/** Of more series the density is drawn: lines are no longer told apart. */
export const LINES_MAX = 64;
const FINE_POINTS = 8_000;
const FINE_SERIES_MAX = 20;
const GRID_S_MAX = 15;
const COLUMNS_MIN = 200;
const DASHES = [undefined, [6, 3], [2, 3], [9, 3, 2, 3]];

/** The numbers of an expression. width: of the drawing, in pixels of the screen. linesMax: of more series the worker keeps them. */
export function load(drawer: Drawer, expression: string, endMs: number, spanMs: number, width: number, linesMax = LINES_MAX): Promise<Loaded> {
  return drawer.load({
    expression,
    endS: endMs / 1_000,
    spanS: spanMs / 1_000,
    stepS: stepOf(spanMs),
    fineStepS: stepOf(spanMs, FINE_POINTS),
    fineSeriesMax: linesMax === LINES_MAX ? FINE_SERIES_MAX : 0,
    gridS: GRID_S_MAX,
    columns: Math.max(COLUMNS_MIN, Math.round(width * window.devicePixelRatio)),
    seriesMax: SERIES_MAX,
    linesMax,
  });
}

export interface Drawn {
  times: number[];
  lines: Line[];
}

/** The lines; with four planes each column has four points, in which a line goes to its least and greatest value. */
export function linesOf({ times, names, planes, numbers }: Loaded): Drawn {
  const columns = times.length;
  const width = columns > 1 ? (times[1] ?? 0) - (times[0] ?? 0) : 1;
  const grid = planes.length === 1 ? times : times.flatMap((time) => planes.map((_, at) => time + (at * width) / planes.length));
  const lines = numbers.length
    ? names.map((name, number) => {
        const dash = DASHES[Math.floor(number / PALETTE) % DASHES.length];
        const values: (number | null)[] = [];
        const base = number * columns * planes.length;
        for (let column = 0; column < columns; column += 1) {
          for (let plane = 0; plane < planes.length; plane += 1) {
            const value = numbers[base + plane * columns + column] ?? NaN;
            values.push(Number.isNaN(value) ? null : value);
          }
        }
        return { name, colour: `series-${(number % PALETTE) + 1}`, values, ...(dash ? { dash } : {}) };
      })
    : [];
  return { times: grid, lines };
}

/** One row per point, as spreadsheets read it. */
export function csv(drawn: Drawn): string {
  const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  const rows = ["time,series,value"];
  for (const { name, values } of drawn.lines) {
    values.forEach((value, at) => {
      if (value !== null) rows.push(`${new Date((drawn.times[at] ?? 0) * 1_000).toISOString()},${quoted(name)},${value}`);
    });
  }
  return `${rows.join("\n")}\n`;
}
