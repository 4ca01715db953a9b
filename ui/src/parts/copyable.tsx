import { useState } from "preact/hooks";

/** Text to be copied, with a button. */
export function Copyable({ title, text }: { title: string; text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
  };
  return (
    <figure class="copyable">
      <figcaption class="row spread small">
        <span class="muted">{title}</span>
        <button class="button small" onClick={() => void copy()} aria-label={`Copy: ${title}`}>
          {copied ? "Copied" : "Copy"}
        </button>
      </figcaption>
      <pre class="mono" tabIndex={0} aria-label={title}>
        {text}
      </pre>
    </figure>
  );
}
