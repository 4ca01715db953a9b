// A titled surface, and what stands in it while there is nothing to show.
import type { ComponentChildren } from "preact";
import type { Polled } from "../data/poll";
import { ago, clock } from "../format";

interface Properties {
  title: string;
  aside?: ComponentChildren;
  children: ComponentChildren;
  class?: string;
}

export function Panel({ title, aside, children, class: more = "" }: Properties) {
  return (
    <section class={`panel ${more}`} aria-label={title}>
      <header>
        <h2>{title}</h2>
        {aside && <div class="row small muted">{aside}</div>}
      </header>
      {children}
    </section>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** Says that an answer failed, or since when what is shown is old. */
export function Trouble({ polled, subject }: { polled: Pick<Polled<unknown>, "error" | "at">; subject: string }) {
  if (!polled.error) return null;
  return (
    <p class="note level-bad" role="status">
      {polled.at === undefined ? (
        <span>{`${subject}: ${polled.error}.`}</span>
      ) : (
        <span>{`${subject} stale since ${clock(polled.at)} (${ago(polled.at)}): ${polled.error}.`}</span>
      )}
    </p>
  );
}

export function Notes({ notes }: { notes: string[] }) {
  if (!notes.length) return null;
  return (
    <ul class="stack">
      {notes.map((note) => (
        <li key={note} class="note level-warn">
          {note}
        </li>
      ))}
    </ul>
  );
}

export function Bar({ share, level = "good" }: { share: number; level?: string }) {
  return (
    <div class={`bar level-${level}`}>
      <i style={{ width: `${Math.min(1, Math.max(0, share)) * 100}%` }} />
    </div>
  );
}
