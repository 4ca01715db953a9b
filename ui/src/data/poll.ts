// Asks again and again while the page is visible. The last good answer stays, with its age, when asking fails.
import { useEffect, useRef, useState } from "preact/hooks";
import { said } from "./http";

export interface Polled<T> {
  value: T | undefined;
  error: string | undefined;
  /** Time of the last good answer. */
  at: number | undefined;
  again: () => void;
}

/** `work` every `intervalMs`, and at once when a part of `key` changes; 0 asks once. */
export function usePoll<T>(work: (signal: AbortSignal) => Promise<T>, intervalMs: number, key: string): Polled<T> {
  const [state, setState] = useState<{ key: string; value?: T; error?: string; at?: number }>({ key });
  const [turn, setTurn] = useState(0);
  const current = useRef(work);
  current.current = work;

  useEffect(() => {
    const ended = new AbortController();
    let timer: number | undefined;
    const once = async (): Promise<void> => {
      try {
        const value = await current.current(ended.signal);
        if (!ended.signal.aborted) setState({ key, value, at: Date.now() });
      } catch (error) {
        if (!ended.signal.aborted) setState((last) => ({ ...(last.key === key ? last : { key }), error: said(error) }));
      }
      if (!ended.signal.aborted && intervalMs > 0) timer = window.setTimeout(due, intervalMs);
    };
    const due = (): void => {
      if (document.visibilityState === "visible") void once();
      else document.addEventListener("visibilitychange", due, { once: true });
    };
    void once();
    return () => {
      ended.abort();
      window.clearTimeout(timer);
      document.removeEventListener("visibilitychange", due);
    };
  }, [key, intervalMs, turn]);

  const valid = state.key === key;
  return {
    value: valid ? state.value : undefined,
    error: valid ? state.error : undefined,
    at: valid ? state.at : undefined,
    again: () => setTurn((last) => last + 1),
  };
}
