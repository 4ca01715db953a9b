// The series of a graph with their numbers. Only the rows in view are in the document, however many there are.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, whole } from "../../format";

interface Properties {
  names: string[];
  /** Of each series its last, least, mean and greatest value. */
  figures: Float64Array;
  /** Of each series, where each has its own. */
  colours?: string[];
  isOn: (row: number) => boolean;
  onChoose: (row: number, toggle: boolean) => void;
}

const COLUMNS = ["last", "min", "mean", "max"];
const WIDE = ["min", "mean"];
const SEARCH_FROM = 20;
const SPARE_ROWS = 12;
const ROW_REM = 1.95;

interface Order {
  column: number;
  falling: boolean;
}

/** The rows that hold the text, ordered by a column; -1 is the name, undefined the order of the answer. */
function ordered(names: string[], figures: Float64Array, text: string, order: Order | undefined): number[] {
  const wanted = text.toLowerCase();
  const rows = names.flatMap((name, row) => (name.toLowerCase().includes(wanted) ? [row] : []));
  if (!order) return rows;
  const sign = order.falling ? -1 : 1;
  const value = (row: number): number => figures[row * 4 + order.column] ?? NaN;
  const least = order.falling ? -Infinity : Infinity;
  const known = (row: number): number => (Number.isNaN(value(row)) ? least : value(row));
  return rows.sort((one, other) => (order.column < 0 ? sign * ((names[one] ?? "") < (names[other] ?? "") ? -1 : 1) : sign * (known(one) - known(other)) || 0));
}

export function Legend({ names, figures, colours, isOn, onChoose }: Properties) {
  const box = useRef<HTMLDivElement>(null);
  const [text, setText] = useState("");
  const [order, setOrder] = useState<Order>();
  const [view, setView] = useState({ from: 0, to: 40, row: 30 });
  const rows = useMemo(() => ordered(names, figures, text, order), [names, figures, text, order]);
  const look = (): void => {
    const element = box.current;
    if (!element) return;
    const row = ROW_REM * Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    const first = Math.floor(element.scrollTop / row);
    setView({ from: Math.max(0, first - SPARE_ROWS), to: first + Math.ceil(element.clientHeight / row) + SPARE_ROWS, row });
  };
  useEffect(look, [rows]);
  const sort = (column: number): void => setOrder(order?.column === column && order.falling === column >= 0 ? { column, falling: !order.falling } : { column, falling: column >= 0 });
  const head = (column: number, name: string) => (
    <th
      key={name}
      class={column < 0 ? "" : WIDE.includes(name) ? "number wide" : "number"}
      aria-sort={order?.column === column ? (order.falling ? "descending" : "ascending") : "none"}
    >
      <button onClick={() => sort(column)}>
        {name}
        {order?.column === column ? (order.falling ? " ↓" : " ↑") : ""}
      </button>
    </th>
  );
  return (
    <>
      {names.length >= SEARCH_FROM && (
        <div class="legend-search">
          <input type="search" value={text} aria-label="Search series" placeholder={`Search ${whole(names.length)} series`} onInput={(event) => setText(event.currentTarget.value)} />
        </div>
      )}
      <div class="legend-box" ref={box} tabIndex={0} role="region" aria-label="Series" onScroll={look}>
        <table class={colours ? "legend" : "legend pick"} aria-rowcount={rows.length + 1}>
          <thead>
            <tr>
              {head(-1, "series")}
              {COLUMNS.map((name, column) => head(column, name))}
            </tr>
          </thead>
          <tbody>
            {view.from > 0 && <tr class="spare" aria-hidden="true" style={{ height: `${Math.min(view.from, rows.length) * view.row}px` }} />}
            {rows.slice(view.from, view.to).map((row, at) => (
              <tr key={row} aria-rowindex={view.from + at + 2} class={!colours || isOn(row) ? "" : "off"}>
                <td>
                  <button aria-pressed={isOn(row)} title={names[row]} onClick={(event) => onChoose(row, event.ctrlKey || event.metaKey)}>
                    {colours && <i class="swatch" style={{ background: `var(--${colours[row]})` }} />}
                    <span class="mono cut">{names[row]}</span>
                  </button>
                </td>
                {COLUMNS.map((name, column) => (
                  <td key={name} class={WIDE.includes(name) ? "number wide" : "number"}>
                    {count(figures[row * 4 + column])}
                  </td>
                ))}
              </tr>
            ))}
            {rows.length > view.to && <tr class="spare" aria-hidden="true" style={{ height: `${(rows.length - view.to) * view.row}px` }} />}
          </tbody>
        </table>
        {!rows.length && <p class="empty">No series holds this text.</p>}
      </div>
    </>
  );
}
