// Where the reader is: the path names the page, the query string its state. Every state has an address.
import { useEffect, useState } from "preact/hooks";

export interface Route {
  path: string;
  query: URLSearchParams;
}

const CHANGED = "nissa-route";

function here(): Route {
  return { path: window.location.pathname, query: new URLSearchParams(window.location.search) };
}

export function navigate(address: string, replace = false): void {
  if (address === window.location.pathname + window.location.search) return;
  window.history[replace ? "replaceState" : "pushState"](null, "", address);
  window.dispatchEvent(new Event(CHANGED));
}

/** Change parts of the state; undefined or "" removes one, and a list sets it several times. */
export function setQuery(parts: Record<string, string | string[] | undefined>, replace = true): void {
  const { path, query } = here();
  for (const [name, value] of Object.entries(parts)) {
    query.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) if (one) query.append(name, one);
  }
  const text = query.toString();
  navigate(text ? `${path}?${text}` : path, replace);
}

export function useRoute(): Route {
  const [route, setRoute] = useState(here);
  useEffect(() => {
    const update = (): void => setRoute(here());
    window.addEventListener("popstate", update);
    window.addEventListener(CHANGED, update);
    return () => {
      window.removeEventListener("popstate", update);
      window.removeEventListener(CHANGED, update);
    };
  }, []);
  return route;
}

/** Clicks on links of the pages change the page without loading the document again. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element).closest("a");
  if (!link || link.target || link.hasAttribute("download") || link.origin !== window.location.origin) return;
  if (link.pathname.startsWith("/api/")) return;
  if (link.hash && link.pathname === window.location.pathname) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
  if (!link.hash) window.scrollTo(0, 0);
}

/** The address of a query in Explore. */
export function exploring(...expressions: string[]): string {
  return `/explore?${new URLSearchParams(expressions.map((expression) => ["q", expression]))}`;
}
