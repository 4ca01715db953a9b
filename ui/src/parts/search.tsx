import { useEffect, useRef, useState } from "preact/hooks";

const PAUSE_MS = 250;

/** A search field; `/` goes to it. The page gets the text after a short pause in typing. */
export function Search({ value, label, onSearch }: { value: string; label: string; onSearch: (text: string) => void }) {
  const [text, setText] = useState(value);
  const timer = useRef<number>();
  const known = useRef(value); // by the page: its own changes replace the text, those that came from here do not
  useEffect(() => {
    if (value !== known.current) setText(value);
    known.current = value;
  }, [value]);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const write = (written: string): void => {
    setText(written);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      known.current = written;
      onSearch(written);
    }, PAUSE_MS);
  };
  return <input class="grow" type="search" data-search value={text} aria-label={label} placeholder={`${label}  /`} onInput={(event) => write(event.currentTarget.value)} />;
}
