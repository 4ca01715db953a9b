// Parts of a page, one at a time; which one is in the address.
import { setQuery } from "../route";

export interface Tab {
  key: string;
  name: string;
}

export function Tabs({ tabs, chosen, label }: { tabs: Tab[]; chosen: string; label: string }) {
  return (
    <div class="tabs" role="group" aria-label={label}>
      {tabs.map(({ key, name }, at) => (
        <button key={key} aria-pressed={key === chosen} onClick={() => setQuery({ tab: at ? key : undefined }, false)}>
          {name}
        </button>
      ))}
    </div>
  );
}
