// Numbers of a graph, asked for and kept by a worker, so that the page stays free however many there are.
import { ApiError, UNAUTHORIZED } from "./http";

export interface LoadRequest {
  type: "load";
  expression: string;
  endS: number;
  spanS: number;
  stepS: number;
  /** A smaller step, asked for where there are no more than `fineSeriesMax` series. */
  fineStepS: number;
  fineSeriesMax: number;
  /** The end is a multiple of this, so that the newest values show also where steps are long. */
  gridS: number;
  columns: number;
  seriesMax: number;
  /** Of more series the worker keeps the numbers. */
  linesMax: number;
}

export type ToWorker =
  | LoadRequest
  | { type: "paint"; width: number; height: number; low: number; high: number; colours: Uint8Array }
  | { type: "find"; column: number; value: number; row?: number };

export interface Loaded {
  type: "loaded";
  /** Seconds. */
  times: number[];
  names: string[];
  series: Record<string, string>[];
  planes: string[];
  stepS: number;
  /** Of each series its last, least, mean and greatest value. */
  figures: Float64Array;
  /** Of each series its planes; empty where the worker keeps them. */
  numbers: Float64Array;
  notes: string[];
  resolution: string;
  tookMs: number;
}

export interface Painted {
  type: "painted";
  pixels: Uint8ClampedArray<ArrayBuffer>;
  most: number;
}

export interface FoundLine {
  type: "line";
  /** -1: none. */
  row: number;
  values: (number | null)[];
}

export type FromWorker = Loaded | Painted | FoundLine | { type: "error"; status: number; error: string };

export interface Asked<T> {
  id: number;
  ask: T;
}

/** One worker, and the answers that wait. */
export class Drawer {
  private readonly worker = new Worker(new URL("../workers/drawing.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, [(answer: FromWorker) => void, (error: Error) => void]>();
  private last = 0;

  constructor() {
    this.worker.onmessage = (message: MessageEvent<{ id: number; answer: FromWorker }>) => {
      const { id, answer } = message.data;
      const [resolve, reject] = this.waiting.get(id) ?? [];
      this.waiting.delete(id);
      if (answer.type !== "error") return resolve?.(answer);
      if (answer.status === 401 || answer.status === 403) window.dispatchEvent(new Event(UNAUTHORIZED));
      reject?.(new ApiError(answer.status, answer.status ? answer.error : "the daemon cannot be reached"));
    };
  }

  load(request: Omit<LoadRequest, "type">): Promise<Loaded> {
    return this.ask({ type: "load", ...request }) as Promise<Loaded>;
  }

  paint(width: number, height: number, low: number, high: number, colours: Uint8Array): Promise<Painted> {
    return this.ask({ type: "paint", width, height, low, high, colours }) as Promise<Painted>;
  }

  nearest(column: number, value: number): Promise<FoundLine> {
    return this.ask({ type: "find", column, value }) as Promise<FoundLine>;
  }

  line(row: number): Promise<FoundLine> {
    return this.ask({ type: "find", column: 0, value: 0, row }) as Promise<FoundLine>;
  }

  /** Ends the worker; what waits is never answered. */
  close(): void {
    this.worker.terminate();
    this.waiting.clear();
  }

  private ask(ask: ToWorker): Promise<FromWorker> {
    this.last += 1;
    const id = this.last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, [resolve, reject]);
      this.worker.postMessage({ id, ask });
    });
  }
}
