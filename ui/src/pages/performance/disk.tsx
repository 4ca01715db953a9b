// The forecast of the disk in one line; the page of storage has the whole.
import { forecast, judged } from "../../data/forecast";
import { usePoll } from "../../data/poll";
import { Mark } from "../../parts/mark";
import { Trouble } from "../../parts/panel";

export function DiskLine() {
  const answer = usePoll(forecast, 300_000, "forecast");
  if (!answer.value) return <Trouble polled={answer} subject="The disk" />;
  const [level, sentence] = judged(answer.value);
  return (
    <li>
      <Mark level={level} word="" />
      <div class="stack tight">
        <a href="/storage">Disk of Nissa</a>
        <span class="wrap">{sentence}</span>
      </div>
    </li>
  );
}
