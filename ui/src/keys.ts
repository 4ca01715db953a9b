// Keys: `/` searches, `g` and a letter goes to a page, `?` explains.
import { navigate } from "./route";

export interface Place {
  path: string;
  name: string;
  letter: string;
  /** Strokes of its sign in a square of 24. */
  sign: string;
}

export const PLACES: Place[] = [
  { path: "/", name: "Overview", letter: "o", sign: "M3 12h4l3-8 4 16 3-8h4" },
  { path: "/explore", name: "Explore", letter: "x", sign: "M4 19V5M4 19h16M8 15l4-5 3 3 5-7" },
  { path: "/series", name: "Metrics", letter: "m", sign: "M4 6h16M4 12h11M4 18h6" },
  { path: "/events", name: "Events", letter: "e", sign: "M5 4h14v16H5zM9 9h6M9 13h6" },
  { path: "/alerts", name: "Alerts", letter: "a", sign: "M6 17V11a6 6 0 0 1 12 0v6l2 1H4zM10 21h4" },
  { path: "/incidents", name: "Incidents", letter: "i", sign: "M12 3 2.5 20h19zM12 10v4M12 17v.5" },
  { path: "/slos", name: "Objectives", letter: "b", sign: "M12 3a9 9 0 1 0 9 9M12 8a4 4 0 1 0 4 4M12 12l8-8" },
  { path: "/sla", name: "Agreements", letter: "l", sign: "M4 5h16v15H4zM4 10h16M9 3v4M15 3v4M8 14h3M13 14h3" },
  { path: "/performance", name: "Performance", letter: "p", sign: "M4 17a8 8 0 1 1 16 0M12 17l4-6M7 17h10" },
  { path: "/flow", name: "Sources & sinks", letter: "s", sign: "M3 8h13l-4-4M21 16H8l4 4" },
  { path: "/storage", name: "Storage", letter: "d", sign: "M4 6c0-3 16-3 16 0v12c0 3-16 3-16 0zM4 6c0 3 16 3 16 0M4 12c0 3 16 3 16 0" },
  { path: "/settings", name: "Settings", letter: "c", sign: "M12 3l7 3v6c0 4-3 7-7 9-4-2-7-5-7-9V6zM9 12l2 2 4-4" },
];

const CHORD_MS = 1_500;

/** Listens until the returned function is called. */
export function listenKeys(explain: () => void): () => void {
  let goSince = 0;
  const pressed = (event: KeyboardEvent): void => {
    if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event)) return;
    const going = Date.now() - goSince < CHORD_MS;
    goSince = 0;
    const place = going ? PLACES.find(({ letter }) => letter === event.key) : undefined;
    if (place) navigate(place.path);
    else if (event.key === "g") goSince = Date.now();
    else if (event.key === "?") explain();
    else if (event.key === "/") search();
    else return;
    event.preventDefault();
  };
  window.addEventListener("keydown", pressed);
  return () => window.removeEventListener("keydown", pressed);
}

function isTyping(event: KeyboardEvent): boolean {
  const target = event.composedPath()[0];
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));
}

/** The search field of this page, or the page of metrics, which opens with one. */
function search(): void {
  const field = document.querySelector<HTMLInputElement>("[data-search]");
  if (field) field.focus();
  else navigate("/series");
}
