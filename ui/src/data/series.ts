// Names of metrics, what is known of them, and how many series they have.
import { ask } from "./http";
import type { Labels } from "./promql";

export interface Entry {
  name: string;
  value: number;
}

export interface Cardinality {
  headStats: { numSeries: number; numLabelPairs: number };
  seriesCountByMetricName: Entry[];
  labelValueCountByLabelName: Entry[];
  seriesCountByLabelValuePair: Entry[];
  nissa: { total: number; active: number; limit: number; refused: number; top_offenders: { name: string; refused: number }[] };
}

export interface Meaning {
  type: string;
  help: string;
  unit: string;
}

const SERIES_MAX = 5_000;

export interface Added {
  since_ms: number;
  /** Whether that is a whole day ago. */
  complete: boolean;
  total: number;
  dropped: number;
  by_metric_name: Entry[];
  by_label_name: Entry[];
  marks: { at_ms: number; series: number }[];
}

/** Series added in the last day. */
export async function seriesAdded(signal?: AbortSignal): Promise<Added> {
  return (await ask<Added>("/api/v1/status/series_added", {}, signal)).data;
}

export async function cardinality(limit: number, signal?: AbortSignal): Promise<Cardinality> {
  return (await ask<Cardinality>("/api/v1/status/tsdb", { limit }, signal)).data;
}

export async function names(signal?: AbortSignal): Promise<string[]> {
  return (await ask<string[]>("/api/v1/label/__name__/values", {}, signal)).data;
}

export async function meanings(name: string | undefined, signal?: AbortSignal): Promise<Record<string, Meaning[]>> {
  return (await ask<Record<string, Meaning[]>>("/api/v1/metadata", { metric: name }, signal)).data;
}

export interface LabelShape {
  name: string;
  values: number;
  examples: string[];
}

/** The labels of a metric with their numbers of values, most first; of its first 5,000 series. */
export async function labelsOf(name: string, signal?: AbortSignal): Promise<{ series: number; cut: boolean; labels: LabelShape[]; job: string | undefined }> {
  const selector = `{__name__=${JSON.stringify(name)}}`;
  const { data } = await ask<Labels[]>("/api/v1/series", { "match[]": selector, limit: SERIES_MAX, since: "1h" }, signal);
  const values = new Map<string, Set<string>>();
  for (const labels of data) {
    for (const [label, value] of Object.entries(labels)) {
      if (label === "__name__") continue;
      const known = values.get(label) ?? new Set();
      values.set(label, known.add(value));
    }
  }
  const labels = [...values].map(([label, known]) => ({ name: label, values: known.size, examples: [...known].slice(0, 4) }));
  return { job: data[0]?.job, series: data.length, cut: data.length >= SERIES_MAX, labels: labels.sort((one, other) => other.values - one.values) };
}
