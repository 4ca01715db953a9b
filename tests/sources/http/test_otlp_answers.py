"""Answers to OTLP senders, read by the classes of opentelemetry-proto."""

import json
from http import HTTPStatus

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from nissa.model.receipt import Receipt
from nissa.sources.http.otlp_answers import export_body, retry_details, status_body
from oracle.wire import split

SOME = Receipt(samples=5, refused={"too_old": 200, "series_limit": 3})


def test_full_success_is_empty() -> None:
    """If everything was taken, partial_success is not set."""
    assert export_body(Receipt(samples=5), "", json=False) == b""
    assert export_body(Receipt(samples=5), "", json=True) == b"{}"


def test_partial_success() -> None:
    """The counts are exact, and the words say why."""
    metrics = ExportMetricsServiceResponse.FromString(export_body(SOME, "too_old: ü", json=False))
    assert (metrics.partial_success.rejected_data_points, metrics.partial_success.error_message) == (203, "too_old: ü")
    logs = ExportLogsServiceResponse.FromString(export_body(SOME, "w", of_logs=True, json=False))
    assert logs.partial_success.rejected_log_records == 203
    wanted = {"partialSuccess": {"rejectedDataPoints": "203", "errorMessage": "w"}}
    assert json.loads(export_body(SOME, "w", json=True)) == wanted
    assert "rejectedLogRecords" in json.loads(export_body(SOME, "w", of_logs=True, json=True))["partialSuccess"]


@pytest.mark.parametrize(("status", "code"), [(400, 3), (404, 5), (405, 12), (413, 8), (415, 3), (503, 14)])
def test_status(status: int, code: int) -> None:
    """Every error is a google.rpc.Status, in both forms."""
    fields = [(number, value) for number, _, value, _ in split(status_body(HTTPStatus(status), "why", json=False))]
    assert fields == [(1, code), (2, b"why")]
    assert json.loads(status_body(HTTPStatus(status), "why", json=True)) == {"code": code, "message": "why"}


def test_retry_details() -> None:
    """The Status of gRPC has a RetryInfo among its details: an Any with a Duration."""
    (_, code), (_, words), (number, info) = [
        (number, value) for number, _, value, _ in split(retry_details(14, "w", 300))
    ]
    assert (code, words, number) == (14, b"w", 3)
    (_, type_url), (_, retry) = [(number, value) for number, _, value, _ in split(info)]
    assert type_url == b"type.googleapis.com/google.rpc.RetryInfo"
    ((_, delay),) = [(number, value) for number, _, value, _ in split(retry)]
    assert [(number, value) for number, _, value, _ in split(delay)] == [(1, 300)]
