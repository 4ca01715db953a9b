"""Spark jobs over the Iceberg tables that several Nissas write: downsampling and percentiles of all nodes together.

    spark-submit … nissa_jobs.py downsample --metric request_seconds --interval 5m --table nissa.derived.seconds_5m
    spark-submit … nissa_jobs.py percentile --metric request_seconds --interval 1h --by service --quantiles 0.5,0.99

docs/sinks.md has the options of spark-submit that name the catalogue. Without --table the result is shown. Works with
Spark 3.5 and 4, also by Spark Connect (SPARK_REMOTE).

Both jobs begin with the numbers of a metric, each once: a sample that several Nissas have, as those of an HA pair, is
one, and of two rows with one series and time the larger number counts, as in Nissa. NaN and staleness markers are left
out, as from the windows of Nissa. Windows begin at multiples of their interval since 1970.
"""

import argparse
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAMESPACE = "nissa.nissa"  # the catalogue of Spark, and the namespace of the sink
UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
NAME = re.compile(r"\w+(\.\w+)*", re.ASCII)
NUMBERS = """
    select array_sort(map_entries(r.labels)) as series_key, s.timestamp, max(s.value) as value
    from {namespace}.samples s join {namespace}.series r on s.instance = r.instance and s.series = r.series
    where s.name = :metric and not isnan(s.value)
        and s.timestamp >= cast(:start as timestamp) and s.timestamp < cast(:end as timestamp)
    group by series_key, s.timestamp"""
WINDOW = "timestamp_seconds(unix_seconds(timestamp) - pmod(unix_seconds(timestamp), :seconds))"


def downsample(
    spark: "SparkSession", metric: str, interval_s: int, span: Sequence[str] = (), namespace: str = NAMESPACE
) -> "DataFrame":
    """One row per series and window: labels, start, count, sum, min, max, first, last, as in the windows of Nissa.

    span: start and end, as timestamps; all samples where it is empty.
    """
    query = f"""
        select map_from_entries(series_key) as labels, start, count(*) as count, sum(value) as sum, min(value) as min,
            max(value) as max, min_by(value, timestamp) as first, max_by(value, timestamp) as last
        from (select *, {WINDOW} as start from ({NUMBERS.format(namespace=namespace)}))
        group by series_key, start"""  # noqa: S608 - names are checked by checked_name
    return spark.sql(query, arguments_of(metric, interval_s, span))


def percentile(
    spark: "SparkSession",
    metric: str,
    interval_s: int,
    by: Sequence[str],
    quantiles: Sequence[float],
    span: Sequence[str] = (),
    namespace: str = NAMESPACE,
) -> "DataFrame":
    """One row per window and values of the labels ``by``: these, start, count and quantiles, of samples of all nodes.

    They are exact, interpolated as ``quantile_over_time`` does.
    """
    shown = ", ".join(f"labels['{checked_name(label)}'] as `{label}`" for label in by)
    groups = ", ".join(["start", *(f"`{label}`" for label in by)])
    fractions = ", ".join(str(float(one)) for one in quantiles)
    query = f"""
        select {groups}, count(*) as count, percentile(value, array({fractions})) as quantiles
        from (select {shown or "1"}, value, {WINDOW} as start
            from (select map_from_entries(series_key) as labels, timestamp, value
                from ({NUMBERS.format(namespace=namespace)})))
        group by {groups}"""  # noqa: S608 - as above
    return spark.sql(query, arguments_of(metric, interval_s, span))


def arguments_of(metric: str, interval_s: int, span: Sequence[str]) -> dict[str, str | int]:
    """Parameters of both queries."""
    start, end = span or ("1970-01-01", "9999-01-01")
    return {"metric": metric, "seconds": interval_s, "start": start, "end": end}


def checked_name(text: str) -> str:
    """The text, where it can stand in a query. Raises: ValueError."""
    if NAME.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a name of letters, digits and underscores")
    return text


def seconds_of(text: str) -> int:
    """Seconds of a duration such as ``5m``. Raises: ValueError."""
    if re.fullmatch(r"[1-9]\d*[smhd]", text) is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m, 1h or 1d")
    return int(text[:-1]) * UNITS_S[text[-1]]


def main() -> None:
    """Read the command line, run the job, show or store its result."""
    parser = argparse.ArgumentParser(description="Jobs over the Iceberg tables of Nissa.")
    parser.add_argument("job", choices=["downsample", "percentile"])
    parser.add_argument("--metric", required=True)
    parser.add_argument("--interval", type=seconds_of, default="1h", help="of a window: 30s, 5m, 1h, 1d (1h)")
    parser.add_argument("--start", default="1970-01-01", help="first time, included")
    parser.add_argument("--end", default="9999-01-01", help="last time, not included")
    parser.add_argument("--by", type=checked_name, action="append", default=[], help="label to group by; repeatable")
    parser.add_argument("--quantiles", default="0.5,0.95,0.99")
    parser.add_argument("--namespace", type=checked_name, default=NAMESPACE, help=f"of the tables ({NAMESPACE})")
    parser.add_argument("--table", type=checked_name, help="table that gets the result, and is replaced")
    chosen = parser.parse_args()

    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    span = (chosen.start, chosen.end)
    if chosen.job == "downsample":
        result = downsample(spark, chosen.metric, chosen.interval, span, chosen.namespace)
    else:
        quantiles = [float(one) for one in chosen.quantiles.split(",")]
        result = percentile(spark, chosen.metric, chosen.interval, chosen.by, quantiles, span, chosen.namespace)
    if chosen.table:
        result.writeTo(chosen.table).using("iceberg").createOrReplace()
    else:
        result.orderBy("start").show(100, truncate=False)


if __name__ == "__main__":
    main()
