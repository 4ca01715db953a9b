// The live stream of the daemon: one connection for all who listen, opened with the first and closed with the last.
// After a cut it is opened again, later each time; who listens then hears the state of now.
import { useEffect, useRef } from "preact/hooks";

interface Listener {
  id: string;
  channel: string;
  heard: () => void;
}

/** A listener hears of many messages in so short a time once. */
const QUIET_MS = 500;
const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 30_000;

const listeners = new Map<string, Listener>();
let socket: WebSocket | undefined;
let timer: number | undefined;
let pauseMs = PAUSE_MS_MIN;
let last = 0;

function open(): void {
  const made = new WebSocket(`${window.location.protocol === "https:" ? "wss" : "ws"}://${window.location.host}/ws/stream`);
  socket = made;
  made.onopen = () => {
    pauseMs = PAUSE_MS_MIN;
    for (const listener of listeners.values()) subscribe(made, listener);
  };
  made.onmessage = (message: MessageEvent<string>) => {
    const { id, type } = JSON.parse(message.data) as { id?: string; type: string };
    const listener = id === undefined ? undefined : listeners.get(id);
    if (listener?.channel === type) listener.heard();
  };
  made.onclose = () => {
    if (socket !== made) return;
    socket = undefined;
    if (listeners.size) timer = window.setTimeout(open, pauseMs);
    pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX);
  };
}

/** Closes a socket; one that still connects once it has, as browsers warn of it otherwise. */
function end(old: WebSocket): void {
  if (old.readyState === WebSocket.CONNECTING) old.onopen = () => old.close();
  else old.close();
}

function subscribe(to: WebSocket, { id, channel }: Listener): void {
  to.send(JSON.stringify({ type: "subscribe", id, channel }));
}

/** Calls `heard` whenever something of a channel is new; a page asks besides, for the stream may be cut. */
export function useStream(channel: string, heard: () => void): void {
  const current = useRef(heard);
  current.current = heard;
  useEffect(() => {
    last += 1;
    let waiting: number | undefined;
    let quietUntil = 0;
    const tell = (): void => {
      waiting = undefined;
      quietUntil = Date.now() + QUIET_MS;
      current.current();
    };
    const heard = (): void => {
      if (waiting === undefined) waiting = window.setTimeout(tell, Math.max(0, quietUntil - Date.now()));
    };
    const listener = { id: String(last), channel, heard };
    listeners.set(listener.id, listener);
    if (!socket) {
      window.clearTimeout(timer);
      open();
    } else if (socket.readyState === WebSocket.OPEN) subscribe(socket, listener);
    return () => {
      window.clearTimeout(waiting);
      listeners.delete(listener.id);
      if (!listeners.size) {
        const old = socket;
        socket = undefined;
        if (old) end(old);
      } else if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: "unsubscribe", id: listener.id }));
    };
  }, [channel]);
}
