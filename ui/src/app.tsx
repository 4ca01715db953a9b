// Chooses the page by the path. The overview comes with the first load, each other page when it is opened.
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { said, UNAUTHORIZED } from "./data/http";
import { usePoll } from "./data/poll";
import { session } from "./data/session";
import { PLACES } from "./keys";
import { Reader } from "./parts/action";
import { Login } from "./pages/login";
import { Overview } from "./pages/overview/index";
import { Empty } from "./parts/panel";
import { useRoute } from "./route";
import { Shell } from "./shell";

export interface PageProperties {
  query: URLSearchParams;
}

type Page = ComponentType<PageProperties>;

const LATER: Record<string, () => Promise<Page>> = {
  "/explore": async () => (await import("./pages/explore/index")).Explore,
  "/alerts": async () => (await import("./pages/alerts/index")).Alerts,
  "/series": async () => (await import("./pages/series/index")).Series,
  "/events": async () => (await import("./pages/events")).Events,
  "/flow": async () => (await import("./pages/flow/index")).Flow,
  "/storage": async () => (await import("./pages/storage/index")).Storage,
  "/incidents": async () => (await import("./pages/incidents/index")).Incidents,
  "/performance": async () => (await import("./pages/performance/index")).Performance,
  "/sla": async () => (await import("./pages/sla/index")).Agreements,
  "/slos": async () => (await import("./pages/slos")).Objectives,
  "/settings": async () => (await import("./pages/settings/index")).Settings,
};

export function App() {
  const { path, query } = useRoute();
  useEffect(() => {
    document.title = `${PLACES.find((place) => place.path === path)?.name ?? "Not found"} · Nissa`;
  }, [path]);
  const known = usePoll(session, 0, "session");
  useEffect(() => {
    window.addEventListener(UNAUTHORIZED, known.again);
    return () => window.removeEventListener(UNAUTHORIZED, known.again);
  }, []);
  if (!known.value && !known.error) return null;
  if (known.value?.access_enabled && !known.value.user) return <Login provider={known.value.oidc_login} onDone={known.again} />;
  return (
    <Reader.Provider value={known.value}>
      <Shell path={path}>{path === "/" ? <Overview /> : <Later key={path} path={path} query={query} />}</Shell>
    </Reader.Provider>
  );
}

function Later({ path, query }: { path: string; query: URLSearchParams }) {
  const [page, setPage] = useState<{ page?: Page; error?: string }>({});
  useEffect(() => {
    const load = LATER[path];
    if (!load) {
      setPage({ error: `there is no page ${path}` });
      return;
    }
    load().then(
      (loaded) => setPage({ page: loaded }),
      (error: unknown) => setPage({ error: said(error) }),
    );
  }, [path]);
  if (page.error) return <Empty>{`This page cannot be shown: ${page.error}.`}</Empty>;
  return page.page ? <page.page query={query} /> : null;
}
