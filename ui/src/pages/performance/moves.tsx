// What moved most between two windows: worse first, then better.
import { shown, type Move } from "../../data/performance";
import { count } from "../../format";
import { Mark } from "../../parts/mark";
import { Empty, Panel } from "../../parts/panel";
import { comparison, ServiceLink, type Windows } from "./index";

const NAMES = { p95: "p95", p99: "p99", error_ratio: "errors" };
const SHOWN_MAX = 12;

/** own: of one service, whose name is on the page. */
export function Moves({ moves, windows, own = false }: { moves: Move[] | undefined; windows: Windows; own?: boolean }) {
  const worse = moves?.filter(({ factor }) => factor > 1) ?? [];
  const better = moves?.filter(({ factor }) => factor < 1) ?? [];
  const listed = [...worse, ...better].filter((one, _, all) => one.route || !all.some((other) => other.route && isOf(one, other)));
  return (
    <Panel title="What moved most" aside={comparison(windows)}>
      {moves && !moves.length && <Empty>No p95, p99 or share of errors moved more than by chance.</Empty>}
      <ul class="moved">
        {listed.slice(0, SHOWN_MAX).map((move) => (
          <li key={`${move.service} ${move.histogram} ${move.route} ${move.what}`}>
            <Mark level={move.factor > 1 ? (move.factor >= 2 ? "bad" : "warn") : "good"} word={move.factor > 1 ? "worse" : "better"} />
            <span class="wrap">
              {!own && <ServiceLink name={move.service} windows={windows} />} <span class={move.route ? "mono small" : "small muted"}>{move.route || "all routes"}</span>
            </span>
            <strong class="number">{move.factor > 1 ? `×${count(move.factor)}` : `÷${count(1 / move.factor)}`}</strong>
            <span class="small muted number across">{`${NAMES[move.what]} ${shown({ ...move, open_ended: false }, move.before)} → ${shown(move, move.after)}`}</span>
          </li>
        ))}
      </ul>
      {listed.length > SHOWN_MAX && <p class="empty">{`and ${listed.length - SHOWN_MAX} more`}</p>}
    </Panel>
  );
}

/** A move of a route that says what the one of its whole service says. */
function isOf(whole: Move, route: Move): boolean {
  return route.service === whole.service && route.histogram === whole.histogram && route.what === whole.what && route.factor > 1 === whole.factor > 1;
}
