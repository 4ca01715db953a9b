// A question over the page. It opens with the first field in focus, and Escape closes it.
import type { ComponentChildren } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import { said } from "../data/http";
import { Reader } from "./action";

interface Properties {
  title: string;
  action: string;
  children: ComponentChildren;
  onClose: () => void;
  /** Does what was asked; an error stays in the dialog. */
  onSubmit: (fields: FormData) => Promise<unknown>;
}

export function Dialog({ title, action, children, onClose, onSubmit }: Properties) {
  const element = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => element.current?.showModal(), []);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      await onSubmit(new FormData(event.currentTarget as HTMLFormElement));
      onClose();
    } catch (failure) {
      setError(said(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <dialog ref={element} onClose={onClose} aria-label={title}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <h2>{title}</h2>
        {children}
        {error && (
          <p class="note level-bad" role="alert">
            {error}
          </p>
        )}
        <div class="row">
          <button class="button main" disabled={busy}>
            {action}
          </button>
          <button type="button" class="button" onClick={onClose}>
            Cancel
          </button>
        </div>
      </form>
    </dialog>
  );
}

const NAME = "name";

/** A name of the reader, kept in this browser, for notes about who did something. */
export function NameField() {
  const reader = useContext(Reader);
  return (
    <label class="field">
      Your name
      <input name="user" required maxLength={100} defaultValue={reader?.user ?? window.localStorage.getItem(NAME) ?? ""} onChange={(event) => window.localStorage.setItem(NAME, event.currentTarget.value)} />
    </label>
  );
}
