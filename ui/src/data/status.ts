// What /api/status says, as far as the pages read it. Parts are missing while the journal is replayed.

export interface Breaker {
  state: "closed" | "open" | "half-open" | string;
  failures_in_a_row: number;
  opened: number;
  refused: number;
  last_error: string | null;
}

export interface Source {
  state: string;
  up: number;
  since_ms: number;
  failures: number;
  error: string | null;
  [fact: string]: unknown;
}

export interface Sink {
  state: "starting" | "up" | "refusing" | "failing" | "blocked" | "paused" | string;
  error: string | null;
  [fact: string]: unknown;
}

interface Job {
  runs: number;
  failures: number;
  last_error: string | null;
}

export interface Tier {
  interval_ms: number;
  written_until_ms: number | null;
  lag_ms: number | null;
  windows: number;
  late_windows: number;
}

export interface Status {
  version: string;
  mode: "ready" | "read_only" | "recovering" | "stalled" | string;
  reason: string | null;
  data_dir: string;
  durability: string;
  started_ms: number;
  uptime_ms: number;
  recovery?: { percent?: number; frames?: number; bytes?: number; rot_frames?: number; torn_bytes?: number };
  watchdog?: { workers: string[]; stalled: string[]; stalls: number };
  queue?: { frames: number; bytes: number };
  head?: { samples: number; sealing: number; min_ms: number | null; max_ms: number | null };
  journal?: { appended_lsn: number; durable_lsn: number; checkpoint_lsn: number; segments: number; bytes: number; commits: number; failures: number };
  blocks?: { count: number; kinds: Record<string, number>; samples: number; events: number; bytes: number };
  row_groups?: { hits: number; misses: number; bytes: number };
  maintenance?: {
    clock: string;
    clock_off_ms: number;
    clock_in_doubt: boolean;
    dropped: { blocks: number; rows: number; bytes: number };
    pins: number;
    space_low: boolean;
    scrub: { files: number; bytes: number; oldest_reading_ms: number; damaged_files: Record<string, unknown> };
    quarantine: { blocks: number; rows: number; files: string[] };
    failures: number;
    last_error: string | null;
    jobs: Record<string, Job>;
  };
  ladder?: { tiers: Record<string, Tier>; failures: number; last_error: string | null };
  seal?: { count: number; failures: number; last_error: string | null };
  series?: { total: number; active: number; limit: number; refused: number; index_bytes: number };
  sources?: Record<string, Source>;
  sinks?: Record<string, Sink>;
  reload?: { successful: number; last_success_ms: number; error: string | null };
  breakers?: Record<string, Breaker>;
  safeguards?: {
    mode: { mode: string; reason: string | null; forced: boolean; for_ms: number | null; load_percent: Record<string, number> };
    shed: Record<string, unknown>;
  };
  rules?: { groups: number; rules: number; failures: number; missed: number; send_failures: number; alerts_firing: number; alerts_pending: number };
  queries?: { running: number; refused: number; failed: Record<string, number> };
  deletions?: { tombstones: number };
}
