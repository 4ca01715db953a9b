import type { Finding } from "../../data/health";
import { Mark } from "../../parts/mark";
import { Panel } from "../../parts/panel";

/** Every part of the daemon, the worst first. */
export function Subsystems({ findings }: { findings: Finding[] }) {
  const well = findings.filter((finding) => finding.level === "good" || finding.level === "idle").length;
  return (
    <Panel title="Subsystems" aside={`${well} of ${findings.length} well`}>
      <div class="subsystems">
        {findings.map((finding) => (
          <a key={finding.name} href={finding.link} title={finding.fact}>
            <Mark level={finding.level} />
            <span class="cut">{finding.name}</span>
            <span class="muted cut">{finding.fact}</span>
          </a>
        ))}
      </div>
    </Panel>
  );
}
