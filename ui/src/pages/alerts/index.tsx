// Alerts, the rules behind them, what changed, and silences.
import type { PageProperties } from "../../app";
import { activeAlerts } from "../../data/alerts";
import { usePoll } from "../../data/poll";
import { useStream } from "../../data/stream";
import { Search } from "../../parts/search";
import { Tabs } from "../../parts/tabs";
import { setQuery } from "../../route";
import "../../styles/alerts.css";
import { Active } from "./active";
import { History, SPAN } from "./history";
import { Rules } from "./rules";
import { Silences } from "./silences";
import { Test } from "./test";

const TABS = [
  { key: "active", name: "Active" },
  { key: "rules", name: "Rules" },
  { key: "test", name: "Test" },
  { key: "history", name: "History" },
  { key: "silences", name: "Silences" },
];

export function Alerts({ query }: PageProperties) {
  const tab = query.get("tab") ?? "active";
  const text = query.get("text") ?? "";
  const alerts = usePoll(activeAlerts, 5_000, "alerts");
  useStream("alerts", alerts.again);
  return (
    <>
      <div class="row spread">
        <h1>Alerts</h1>
        <Tabs tabs={TABS} chosen={tab} label="Parts" />
      </div>
      {tab !== "silences" && tab !== "test" && <Search value={text} label="Search names, labels, texts" onSearch={(written) => setQuery({ text: written })} />}
      {tab === "active" && <Active alerts={alerts} text={text} />}
      {tab === "rules" && <Rules text={text} />}
      {tab === "test" && <Test query={query} />}
      {tab === "history" && <History text={text} since={query.get("since") ?? SPAN} />}
      {tab === "silences" && <Silences />}
    </>
  );
}
