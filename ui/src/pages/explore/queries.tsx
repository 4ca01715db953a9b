// The expressions, each with its editor, which is loaded after the page.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";

type EditorType = ComponentType<{ value: string; label: string; onRun: (value: string) => void }>;

interface Properties {
  expressions: string[];
  onChange: (expressions: string[]) => void;
}

export function Queries({ expressions, onChange }: Properties) {
  const [Editor, setEditor] = useState<EditorType>();
  useEffect(() => {
    void import("../../parts/editor").then((loaded) => setEditor(() => loaded.Editor));
  }, []);
  const replace = (at: number, value: string): void => {
    if (expressions[at] !== value) onChange(expressions.map((old, other) => (other === at ? value : old)));
  };
  return (
    <ul class="queries">
      {expressions.map((expression, at) => (
        <li key={at}>
          <span class="letter" aria-hidden="true">
            {String.fromCharCode(65 + (at % 26))}
          </span>
          {Editor ? (
            <Editor value={expression} label={`Expression ${at + 1}`} onRun={(value) => replace(at, value)} />
          ) : (
            <input class="editor mono" value={expression} aria-label={`Expression ${at + 1}`} onChange={(event) => replace(at, event.currentTarget.value.trim())} />
          )}
          {expressions.length > 1 && (
            <button class="button small" aria-label={`Remove expression ${at + 1}`} onClick={() => onChange(expressions.filter((_, other) => other !== at))}>
              ×
            </button>
          )}
        </li>
      ))}
    </ul>
  );
}
