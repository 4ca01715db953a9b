// Requests to the API of this daemon. Every failure is an Error whose message a reader understands.

const TIMEOUT_MS = 30_000;

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

interface Envelope<T> {
  status: "success" | "error";
  data: T;
  error?: string;
  warnings?: string[];
  infos?: string[];
}

export interface Answer<T> {
  data: T;
  notes: string[];
  headers: Headers;
}

export type Parameters = Record<string, string | number | string[] | undefined>;

export function form(parameters: Parameters): URLSearchParams {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined && one !== "") fields.append(name, String(one));
  }
  return fields;
}

async function send(path: string, init: RequestInit, signal?: AbortSignal): Promise<Response> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    return await fetch(path, { ...init, signal: signal ? AbortSignal.any([signal, timeout]) : timeout });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, timeout.aborted ? "no answer within 30 s" : "the daemon cannot be reached");
  }
}

/** An event of the window: the session has ended, or the role of the reader has changed. */
export const UNAUTHORIZED = "nissa-unauthorized";

async function failure(response: Response): Promise<ApiError> {
  if (response.status === 401 || response.status === 403) window.dispatchEvent(new Event(UNAUTHORIZED));
  const text = await response.text();
  try {
    const body = JSON.parse(text) as { error?: string; detail?: string };
    return new ApiError(response.status, body.error ?? body.detail ?? `HTTP ${response.status}`);
  } catch {
    return new ApiError(response.status, text.slice(0, 300) || `HTTP ${response.status}`);
  }
}

/** The JSON body of GET `path`. */
export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await send(path, {}, signal);
  if (!response.ok) throw await failure(response);
  return (await response.json()) as T;
}

/** The body of GET `path`, whatever it is. */
export async function getBlob(path: string, signal?: AbortSignal): Promise<Blob> {
  const response = await send(path, {}, signal);
  if (!response.ok) throw await failure(response);
  return response.blob();
}

/** Data and notes of an answer in Prometheus' envelope. */
export async function ask<T>(path: string, parameters: Parameters = {}, signal?: AbortSignal): Promise<Answer<T>> {
  const fields = form(parameters).toString();
  const response = await send(fields ? `${path}?${fields}` : path, {}, signal);
  if (!response.ok) throw await failure(response);
  const body = (await response.json()) as Envelope<T>;
  return { data: body.data, notes: [...(body.warnings ?? []), ...(body.infos ?? [])], headers: response.headers };
}

/** Change something: POST or DELETE with a form or JSON. Empty fields are left out, unless the form is given as it is sent. The token of the session goes along, as a page of another site cannot know it. */
export async function change<T>(path: string, body: Parameters | object = {}, options: { method?: string; json?: boolean } = {}): Promise<T> {
  const headers: Record<string, string> = csrfToken ? { "X-CSRF-Token": csrfToken } : {};
  if (options.json) headers["Content-Type"] = "application/json";
  const response = await send(path, {
    method: options.method ?? "POST",
    headers,
    body: options.json ? JSON.stringify(body) : body instanceof URLSearchParams ? body : form(body as Parameters),
  });
  if (!response.ok) throw await failure(response);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

let csrfToken = "";

export function keepCsrfToken(token: string): void {
  csrfToken = token;
}

export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
