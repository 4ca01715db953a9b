// Users, API tokens, and the log of changes.
import { ask, change } from "./http";

export interface User {
  name: string;
  role: string;
  created_ms: number;
}

export interface Token {
  name: string;
  role: string;
  scopes: string[];
  created_ms: number;
  /** 0: never. */
  expires_ms: number;
}

export interface AuditEntry {
  id: number;
  at_ms: number;
  user: string;
  via: string;
  address: string;
  action: string;
  target: string;
  outcome: string;
  before: unknown;
  after: unknown;
}

export const ROLES = ["viewer", "operator", "admin"];
export const SCOPES = ["query", "control", "stream", "ingest"];
export const AUDIT_PAGE = 50;

export async function users(signal?: AbortSignal): Promise<User[]> {
  return (await ask<User[]>("/api/v1/users", {}, signal)).data;
}

export function addUser(user: string, password: string, role: string): Promise<unknown> {
  return change("/api/v1/users", { user, password, role });
}

/** Change the role, the password, or both, as they are given. */
export function changeUser(user: string, role: string | undefined, password: string): Promise<unknown> {
  return change("/api/v1/users", { user, role, password: password || undefined }, { method: "PATCH" });
}

export function removeUser(user: string): Promise<unknown> {
  return change(`/api/v1/users?${new URLSearchParams({ user })}`, {}, { method: "DELETE" });
}

export async function tokens(signal?: AbortSignal): Promise<Token[]> {
  return (await ask<Token[]>("/api/v1/tokens", {}, signal)).data;
}

/** The secret, which is shown this one time. */
export async function addToken(token: string, role: string, scope: string[], expires: string): Promise<string> {
  const { data } = await change<{ data: { secret: string } }>("/api/v1/tokens", { token, role, scope, expires: expires || undefined });
  return data.secret;
}

export function removeToken(token: string): Promise<unknown> {
  return change(`/api/v1/tokens?${new URLSearchParams({ token })}`, {}, { method: "DELETE" });
}

export interface AuditFilter {
  user: string;
  action: string;
  before: number | undefined;
}

export async function auditPage({ user, action, before }: AuditFilter, signal?: AbortSignal): Promise<AuditEntry[]> {
  return (await ask<{ entries: AuditEntry[] }>("/api/v1/audit", { user, action, before, limit: AUDIT_PAGE }, signal)).data.entries;
}
