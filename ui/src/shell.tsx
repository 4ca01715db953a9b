// The frame: navigation, theme, time zone, help.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { inUtc, setUtc } from "./format";
import icon from "./icon.svg";
import { listenKeys, PLACES } from "./keys";
import { followLinks } from "./route";
import { applyTheme, nextTheme, theme } from "./theme";

export function Shell({ path, children }: { path: string; children: ComponentChildren }) {
  const help = useRef<HTMLDialogElement>(null);
  useEffect(() => listenKeys(() => help.current?.showModal()), []);
  useEffect(() => {
    document.addEventListener("click", followLinks);
    return () => document.removeEventListener("click", followLinks);
  }, []);
  return (
    <div class="shell">
      <a class="button skip" href="#page">
        Skip to content
      </a>
      <header class="side">
        <a class="brand" href="/">
          <img src={icon} alt="" />
          <span>Nissa</span>
        </a>
        <Navigation path={path} />
        <Tools help={() => help.current?.showModal()} />
      </header>
      <main class="page" id="page" tabIndex={-1}>
        {children}
      </main>
      <dialog ref={help} aria-labelledby="help-title">
        <h2 id="help-title">Keys</h2>
        <dl class="keys">
          {PLACES.map(({ name, letter }) => (
            <Key key={letter} keys={["g", letter]} meaning={name} />
          ))}
          <Key keys={["/"]} meaning="Search" />
          <Key keys={["?"]} meaning="This help" />
        </dl>
        <form method="dialog">
          <button class="button">Close</button>
        </form>
      </dialog>
    </div>
  );
}

function Key({ keys, meaning }: { keys: string[]; meaning: string }) {
  return (
    <>
      <dt class="row">
        {keys.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </dt>
      <dd>{meaning}</dd>
    </>
  );
}

function Navigation({ path }: { path: string }) {
  const list = useRef<HTMLElement>(null);
  useEffect(() => list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [path]);
  return (
    <nav aria-label="Pages" ref={list}>
      <ul>
        {PLACES.map((place) => (
          <li key={place.path}>
            <a href={place.path} {...(place.path === path ? { "aria-current": "page" as const } : {})}>
              <svg viewBox="0 0 24 24" aria-hidden="true">
                <path d={place.sign} />
              </svg>
              {place.name}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Tools({ help }: { help: () => void }) {
  const [chosen, setChosen] = useState(theme);
  const [utc, setZone] = useState(inUtc);
  const changeTheme = (): void => {
    const next = nextTheme(chosen);
    applyTheme(next);
    setChosen(next);
  };
  const changeZone = (): void => {
    setUtc(!utc);
    setZone(!utc);
    window.dispatchEvent(new Event("nissa-route"));
  };
  return (
    <div class="tools">
      <button class="button small" onClick={changeTheme} aria-label={`Colours: ${chosen}`} title="Colours: as the system, light, dark">
        {{ auto: "◐ auto", light: "○ light", dark: "● dark" }[chosen]}
      </button>
      <button class="button small zone" onClick={changeZone} aria-label={`Times: ${utc ? "UTC" : "local"}`} title="Times: local or UTC">
        {utc ? "UTC" : "local"}
      </button>
      <button class="button small help" onClick={help} aria-label="Keys and help" title="Keys (?)">
        ?
      </button>
    </div>
  );
}
