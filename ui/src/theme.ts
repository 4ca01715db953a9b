// Light, dark, or as the system says. The choice is kept in this browser.

export type Theme = "auto" | "light" | "dark";

const KEY = "theme";
const ORDER: Theme[] = ["auto", "light", "dark"];

export function theme(): Theme {
  const kept = window.localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function applyTheme(chosen: Theme): void {
  if (chosen === "auto") {
    window.localStorage.removeItem(KEY);
    delete document.documentElement.dataset.theme;
  } else {
    window.localStorage.setItem(KEY, chosen);
    document.documentElement.dataset.theme = chosen;
  }
  window.dispatchEvent(new Event("nissa-theme"));
}

export function nextTheme(chosen: Theme): Theme {
  return ORDER[(ORDER.indexOf(chosen) + 1) % ORDER.length] ?? "auto";
}

/** The value of a custom property of the style sheet, for drawings on canvas. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
