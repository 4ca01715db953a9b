"""The tests mirror the source: whoever reads a file knows where its proof is."""

from pathlib import Path

from house.plan import SRC, TESTS, python_files, shown

# Rooms and files whose proof stands elsewhere, each with where.
ELSEWHERE = {
    "model/allowance.py": "a protocol and a function that does nothing",
    "model/columns.py": "data only; every room's tests build them",
    "model/decoded.py": "data only; codec tests read it",
    "model/errors.py": "data only; messages are checked where errors are raised",
    "model/frame.py": "data only; on-disk numbers are checked by the goldens",
    "model/intake.py": "a protocol; mypy checks who offers it",
    "model/level.py": "data only; every question for events reads it",
    "model/receipt.py": "data only",
    "model/refusal.py": "compared with _fast/types.pxd by tests/house/test_compiled.py",
    "model/counters.py": "data only; conservation is a journey",
    "model/units.py": "constants",
    **dict.fromkeys(
        (
            f"promql/{name}.py"
            for name in ("absent", "aggregate", "choose", "elementwise", "context", "histogram", "info")
        ),
        "proven by scripts: tests/promql/test_evaluate.py",
    ),
    **dict.fromkeys(
        (
            f"promql/{name}.py"
            for name in (
                *("absent", "aggregate", "choose", "elementwise", "context", "histogram", "info", "label_functions"),
                *("limits", "match", "notes", "operators", "ordering", "plan", "same", "subquery"),
                *("values", "windows"),
            )
        ),
        "proven by scripts: tests/promql/test_evaluate.py",
    ),
    **dict.fromkeys(
        (f"sources/{name}.py" for name in ("oona_keeper", "oona_streams", "oona_tallies", "redis_client")),
        "proven against a real Redis: tests/journeys/test_oona.py",
    ),
    "codec/read_as_packets.py": "proven by the codecs that use it, as in tests/codec/test_alert_events.py",
    "selfmetrics/bus_metrics.py": "rows of the catalogue; tests/selfmetrics/test_catalogue.py reads it",
    "sources/nats.py": "proven against a real server: tests/journeys/test_nats.py",
    "sources/nats_tallies.py": "proven against a real server: tests/journeys/test_nats.py",
    "api/alert_control.py": "a protocol; mypy checks who offers it",
    "api/alertmanager_routes.py": "proven over HTTP by amtool and Prometheus: tests/journeys/test_alerting.py",
    "database/migrations/versions/routing_1.py": "run by alembic: tests/database/test_database.py",
    "database/migrations/versions/routing_2.py": "run by alembic: tests/database/test_database.py",
    "database/migrations/versions/access_2.py": "run by alembic: tests/database/test_database.py",
    "database/routing_tables.py": "data only; tests/database/test_database.py compares it with the revisions",
    "notifiers/dispatcher.py": "proven in the running daemon: tests/journeys/test_alerting.py",
    "notifiers/http_client.py": "proven by notifiers that use it: tests/notifiers/test_webhook.py",
    "api/notification_routes.py": "proven by the command: tests/journeys/test_alerting.py",
    "selfmetrics/alerting_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "notifiers/slack_blocks.py": "proven by messages: tests/notifiers/test_slack.py",
    "notifiers/kinds.py": "a table; tests/journeys/test_alerting.py uses it",
    "notifiers/notifier.py": "a protocol; mypy checks who offers it",
    "service/configured_alerting.py": "composition; tests/journeys/test_alerting.py runs it",
    "config/alerting.py": "data only; tests of docs/config.md read it",
    "config/receivers.py": "data only; tests/config/test_alertmanager_file.py reads it",
    "cli/api_login.py": "proven by the commands: tests/journeys/test_terminal.py",
    "api/oidc_provider.py": "proven against a real provider: tests/journeys/test_oidc.py",
    "api/oidc_routes.py": "proven against a real provider: tests/journeys/test_oidc.py",
    "api/series_marking.py": "a protocol; mypy checks who offers it",
    "api/incident_control.py": "a protocol; mypy checks who offers it",
    **dict.fromkeys(
        ("api/incident_event_routes.py", "api/incident_routes.py", "cli/incidents.py"),
        "proven in the running daemon: tests/journeys/test_incidents.py",
    ),
    "service/incident_evidence.py": "proven in the running daemon: tests/journeys/test_incidents.py",
    **dict.fromkeys(
        ("api/sla_routes.py", "cli/sla.py", "service/sla_tasks.py"),
        "proven in the running daemon: tests/journeys/test_sla.py",
    ),
    "api/sla_control.py": "a protocol; mypy checks who offers it",
    "config/performance.py": "data only; tests of docs/config.md read it",
    "api/performance_routes.py": "proven over HTTP: tests/api/test_performance_queries.py",
    "config/silver.py": "data only; tests of docs/config.md read it",
    "api/silver_control.py": "a protocol; mypy checks who offers it",
    "api/silver_routes.py": "proven in the running daemon: tests/journeys/test_silver.py",
    "database/silver_tables.py": "data only; tests/database/test_database.py compares it with the revisions",
    "database/migrations/versions/silver_1.py": "run by alembic: tests/database/test_database.py",
    "selfmetrics/silver_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "config/bronze.py": "data only; tests of docs/config.md read it",
    "api/bronze_routes.py": "proven in the running daemon: tests/journeys/test_bronze.py",
    "service/app_intake.py": "proven in the running daemon: tests/journeys/test_bronze.py",
    "config/sla.py": "data only; tests of docs/config.md read it",
    "database/sla_tables.py": "data only; tests/database/test_database.py compares it with the revisions",
    "database/migrations/versions/sla_1.py": "run by alembic; triggers: tests/tiers/test_sla_store.py",
    "selfmetrics/sla_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "config/incidents.py": "data only; tests of docs/config.md read it",
    "database/incident_tables.py": "data only; tests/database/test_database.py compares it with the revisions",
    "database/migrations/versions/incidents_1.py": "run by alembic: tests/database/test_database.py",
    "selfmetrics/incident_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "api/rule_control.py": "a protocol; mypy checks who offers it",
    "api/rule_routes.py": "proven in the running daemon: tests/journeys/test_rules.py",
    "config/rules.py": "data only; tests of docs/config.md read it",
    "selfmetrics/rule_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "rules/shipped/__init__.py": "rule files; tests/rules/test_shipped.py runs their unit tests",
    "service/rule_tasks.py": "proven in the running daemon: tests/journeys/test_rules.py",
    "service/rule_recorder.py": "proven in the running daemon: tests/journeys/test_rules.py",
    "api/slo_control.py": "a protocol; mypy checks who offers it",
    "api/slo_routes.py": "proven in the running daemon: tests/journeys/test_slo.py",
    "cli/slo.py": "proven by the rules it prints: tests/slo/test_burn_rules.py",
    "database/migrations/versions/slo_1.py": "run by alembic: tests/database/test_database.py",
    "query/api_counts.py": "two counters; tests/api/test_active_queries.py sees them",
    "service/watching.py": "proven in the running daemon: tests/journeys/test_slo.py",
    "slo/objective.py": "proven by the forms that become it: tests/slo/test_objective_file.py",
    "slo/shipped/__init__.py": "files of objectives; tests/service/test_objective_files.py reads them",
    "rules/rule.py": "data only; tests/rules/test_rule_file.py reads it",
    "rules/queries.py": "protocols; mypy checks who offers them",
    "rules/group.py": "proven by unit tests of rules: tests/rules/test_unit_test.py",
    "rules/unit_test_file.py": "proven by unit tests of rules: tests/rules/test_unit_test.py",
    **dict.fromkeys(
        ("rules/expansion.py", *(f"rules/template_{name}.py" for name in ("syntax", "functions", "names", "numbers"))),
        "proven by texts: tests/rules/test_template.py",
    ),
    **dict.fromkeys(
        (
            *(f"rules/template_{name}.py" for name in ("html", "times")),
            *("notifiers/go_data.py", "notifiers/go_functions.py", "notifiers/default_texts.py"),
        ),
        "compared with Alertmanager: tests/notifiers/test_go_texts.py",
    ),
    "promql/memory_source.py": "proven by scripts: tests/promql/test_evaluate.py",
    "service/rule_ground.py": "proven by unit tests of rules: tests/rules/test_unit_test.py",
    "cli/rules.py": "proven with promtool: tests/rules/test_unit_test.py",
    **dict.fromkeys(
        (f"cli/{name}.py" for name in ("backup", "restore")),
        "proven beside a daemon: tests/journeys/test_backup.py",
    ),
    **dict.fromkeys(
        (f"cli/{name}.py" for name in ("doctor", "doctor_facts")),
        "proven on daemons: tests/journeys/test_doctor.py",
    ),
    "forwarders/iceberg_tables.py": "proven by the sink: tests/forwarders/test_iceberg.py",
    "config/database.py": "data only; tests of docs/config.md read it",
    "database/tables.py": "data only; tests/database/test_database.py compares it with the revisions",
    "database/migrations/env.py": "run by alembic: tests/database/test_database.py",
    "database/migrations/versions/access_1.py": "run by alembic: tests/database/test_database.py",
    "config/access.py": "proven with the rest: tests/config/test_check.py",
    "access/roles.py": "proven by requests of each: tests/api/test_access_control.py",
    "access/secret_tokens.py": "proven by requests with them: tests/api/test_access_control.py",
    "access/sessions.py": "proven by requests with them: tests/api/test_access_control.py",
    "api/forwarded.py": "proven by requests of proxies: tests/api/test_access_control.py",
    "api/login_limit.py": "proven over HTTP: tests/api/test_access_control.py",
    "api/login_routes.py": "proven over HTTP: tests/api/test_access_control.py",
    "config/stream.py": "data only; tests/api/test_streams.py sets it",
    "api/stream_protocol.py": "proven over WebSockets: tests/api/test_streams.py",
    "api/stream_client.py": "proven over WebSockets: tests/api/test_streams.py",
    "api/stream_content.py": "proven over WebSockets: tests/api/test_streams.py",
    "api/stream_routes.py": "proven over WebSockets: tests/api/test_streams.py",
    "api/summary_routes.py": "proven in the running daemon: tests/journeys/test_stream.py",
    "sources/http/tokens.py": "a protocol; mypy checks who offers it",
    "service/ingest_entrance.py": "composition; tests/journeys/test_ingest_tls.py runs it",
    "sources/entrance.py": "data only; tests/journeys/test_ingest_tls.py sets all of it",
    "service/ingest_tokens.py": "proven in the running daemon: tests/journeys/test_access.py",
    "api/access_routes.py": "proven over HTTP: tests/api/test_access_control.py",
    "api/audit_routes.py": "proven with the entries: tests/api/test_audit_trail.py",
    "api/request_limits.py": "proven over HTTP: tests/api/test_audit_trail.py",
    "cli/api_token.py": "proven against a daemon: tests/journeys/test_access.py",
    "cli/own_database.py": "proven by the commands: tests/journeys/test_access.py",
    "cli/users.py": "proven beside a daemon: tests/journeys/test_access.py",
    "cli/tokens.py": "proven beside a daemon: tests/journeys/test_access.py",
    "cli/audit.py": "proven beside a daemon: tests/journeys/test_access.py",
    "service/opened_database.py": "proven by the daemon: tests/journeys/test_access.py",
    "database/migrations/versions/alerts_1.py": "run by alembic: tests/database/test_database.py",
    "config/buses.py": "data only; tests of docs/config.md read it",
    "promql/expression.py": "data only; tests/promql/test_parse.py reads it",
    "promql/source.py": "a protocol; mypy checks who offers it",
    "cli/mode.py": "proven against a running daemon: tests/journeys/test_safeguards.py",
    "api/facts.py": "data only; tests/api/conftest.py makes it",
    "api/promql_answers.py": "proven over HTTP: tests/api/test_promql_routes.py",
    "rollup/imports.py": "proven with the job that runs it: tests/ingest/test_import_fold.py",
    **dict.fromkeys(
        (f"cli/import_{name}.py" for name in ("pieces", "progress", "tables", "targets")),
        "proven by the command: tests/cli/test_imports.py",
    ),
    "cli/daemon_request.py": "proven by the commands that use it, as in tests/cli/test_delete.py",
    "cli/import_prometheus.py": "proven on a real server: tests/journeys/test_import.py",
    "config/lines.py": "data only; tests of each source and journeys set it",
    "config/scrape.py": "data only; tests/sources/scrape/test_source.py sets it",
    "config/scrape_configs.py": "data only; tests/config/test_prometheus_file.py reads it",
    "config/safeguards.py": "data only; tests of each safeguard set it",
    "config/sources.py": "data only; journeys of each source set it",
    "selfmetrics/metric.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "selfmetrics/safeguard_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "selfmetrics/source_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "selfmetrics/ingest_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "api/sink_control.py": "a protocol; mypy checks who offers it",
    "cli/sinks.py": "proven against a daemon: tests/journeys/test_sinks.py",
    "cli/dead_letters.py": "proven against a daemon: tests/journeys/test_sinks.py",
    "sources/kafka.py": "proven against a real server: tests/journeys/test_kafka.py",
    "forwarders/kafka.py": "proven against a real server: tests/journeys/test_kafka.py",
    "forwarders/sample_letters.py": "proven by the sink that uses it: tests/forwarders/test_remote_write.py",
    "selfmetrics/sink_metrics.py": "data only; tests/selfmetrics/test_catalogue.py reads it",
    "service/configured_sinks.py": "composition; tests/journeys/test_sinks.py runs it",
    "service/configured_sources.py": "composition; journeys of each source run it",
    "sources/source.py": "a protocol; mypy checks who offers it",
    "query/backend.py": "a protocol; mypy checks who offers it",
    "service/clock.py": "two reads of the clock",
    "service/safeguarding.py": "composition, proven in the running daemon: tests/journeys/test_safeguards.py",
    "service/daemon.py": "a process, proven as one: tests/journeys/test_stop.py",
    "service/telemetry.py": "proven in the running daemon: tests/journeys/test_self.py",
}
# A compiled module is proven in the room that uses it (follow the noun).
COMPILED_ROOMS = ("codec", "series", "store", "rollup", "dedup", "redaction", "journal", "ingest", "fast", "promql")


def files_named(stem: str) -> list[Path]:
    """Test files of a stem anywhere below tests/."""
    return sorted(TESTS.rglob(f"test_{stem}.py")) + sorted(TESTS.rglob(f"test_{stem}_*.py"))


def test_every_source_file_has_its_test_file() -> None:
    """src/nissa/ROOM/FILE.py is proven in tests/ROOM/test_FILE.py; exceptions are listed with their reason."""
    missing = []
    for path in python_files():
        relative = path.relative_to(SRC)
        if path.name == "__init__.py" or str(relative) in ELSEWHERE:
            continue
        directory = TESTS / relative.parent
        if not sorted(directory.glob(f"test_{path.stem}.py")) and not sorted(directory.glob(f"test_{path.stem}_*.py")):
            missing.append(shown(path))
    assert not missing, "no tests/ROOM/test_FILE.py for:\n" + "\n".join(missing)


def test_exceptions_are_still_true() -> None:
    """Every listed exception names a file that exists, and so does a test it points to."""
    gone = [name for name in ELSEWHERE if not (SRC / name).exists()]
    named = [word for reason in ELSEWHERE.values() for word in reason.split() if word.startswith("tests/")]
    gone += [word for word in named if not (TESTS.parent / word).exists()]
    assert not gone


def test_every_compiled_module_has_a_test_file() -> None:
    """src/nissa/_fast/NOUN.pyx is proven by a test_NOUN file in the room of its noun."""
    missing = []
    for path in sorted((SRC / "_fast").glob("*.pyx")):
        homes = [found for found in files_named(path.stem) if found.parent.name in {*COMPILED_ROOMS, "oracle"}]
        if not homes:
            missing.append(shown(path))
    assert not missing, "no test file for:\n" + "\n".join(missing)
