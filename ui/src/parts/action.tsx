// A button that changes something. Where the role of the reader does not allow it, it says so and does nothing.
import { createContext, type ComponentChildren } from "preact";
import { useContext } from "preact/hooks";
import type { Session } from "../data/session";

export const Reader = createContext<Session | undefined>(undefined);

/** Why the reader may not make a change, by its name in the audit log; "" where it is allowed. */
export function useRefusal(action: string): string {
  const reader = useContext(Reader);
  if (!reader?.access_enabled || !reader.actions || reader.actions.includes(action)) return "";
  return `Not allowed for ${reader.user ?? "you"}: the role ${reader.role ?? "of nobody"} may not do this.`;
}

interface Properties {
  /** As the audit log names the change, such as `pin.add`. */
  action: string;
  children: ComponentChildren;
  onClick: () => void;
  disabled?: boolean;
  pressed?: boolean;
  class?: string;
}

/** It stays in the order of focus while it is refused, so that the reason is read out. */
export function Action({ action, children, onClick, disabled = false, pressed, class: more = "small" }: Properties) {
  const refusal = useRefusal(action);
  return (
    <button
      type="button"
      class={`button ${more}`}
      disabled={disabled}
      aria-disabled={refusal ? true : undefined}
      title={refusal || undefined}
      {...(pressed === undefined ? {} : { "aria-pressed": pressed })}
      onClick={() => !refusal && onClick()}
    >
      {children}
    </button>
  );
}
