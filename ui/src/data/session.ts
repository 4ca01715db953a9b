// Who the reader is to the daemon.
import { ask, change, keepCsrfToken } from "./http";

export interface Session {
  access_enabled: boolean;
  user: string | null;
  role: string | null;
  via: string;
  scopes: string[];
  /** Changes that the reader may make, as the audit log names them. */
  actions?: string[];
  csrf_token: string | null;
  /** Path of the login by an OpenID provider, where one is configured. */
  oidc_login: string | null;
}

/** The session of this browser. */
export async function session(signal?: AbortSignal): Promise<Session> {
  const { data } = await ask<Session>("/api/v1/session", {}, signal);
  keepCsrfToken(data.csrf_token ?? "");
  return data;
}

export function logIn(user: string, password: string): Promise<unknown> {
  return change("/api/v1/login", { user, password });
}

export function logOut(): Promise<unknown> {
  return change("/api/v1/logout");
}

/** Change one's own password; all other sessions of the user end. */
export function changeOwnPassword(password: string, fresh: string): Promise<unknown> {
  return change("/api/v1/session/password", { password, new_password: fresh });
}
