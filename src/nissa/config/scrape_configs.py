"""Structs of Prometheus' configuration file, as far as scraping goes, with Prometheus' names and defaults.

Every value is text until it is converted; durations become milliseconds and sizes bytes. Fields of Prometheus that
Nissa does not support are listed here too: those of an entry are refused, unless their value asks for what Nissa does
anyway; sections of the file that do not concern scraping are ignored with a warning (``prometheus_file.py``).
"""

from typing import Annotated, Final, Literal

import msgspec

from nissa.model.relabel import RelabelRule

PORT_BY_SCHEME: Final = {"http": 80, "https": 443}
PROTOCOLS: Final = {
    "PrometheusProto": "",  # not read here, so never asked for
    "OpenMetricsText1.0.0": "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    "OpenMetricsText0.0.1": "application/openmetrics-text;version=0.0.1",
    "PrometheusText1.0.0": "text/plain;version=1.0.0;escaping=allow-utf-8",
    "PrometheusText0.0.4": "text/plain;version=0.0.4",
}
PROTOCOLS_ASKED: Final = tuple(name for name, accept in PROTOCOLS.items() if accept)


class Milliseconds(int):
    """A duration, written as Prometheus does: ``1m30s``."""


class Size(int):
    """Bytes, written as Prometheus does: ``10MB`` is 10 times 2^20."""


Count = Annotated[int, msgspec.Meta(ge=0)]


class BasicAuth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """User name and password, or files that hold them."""

    username: str = ""
    username_file: str = ""
    password: str = ""
    password_file: str = ""


class Authorization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header ``Authorization``: its type, and credentials or a file that holds them."""

    type: str = "Bearer"
    credentials: str = ""
    credentials_file: str = ""


class TlsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Certificates as text or as files, and how the target's own is checked."""

    ca: str = ""
    ca_file: str = ""
    cert: str = ""
    cert_file: str = ""
    key: str = ""
    key_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False
    min_version: Literal["", "TLS10", "TLS11", "TLS12", "TLS13"] = ""
    max_version: Literal["", "TLS10", "TLS11", "TLS12", "TLS13"] = ""


class HttpClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Access to targets, or to a list of them."""

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    bearer_token: str = ""
    bearer_token_file: str = ""
    tls_config: TlsConfig = TlsConfig()
    follow_redirects: bool = True
    proxy_url: str = ""


class StaticConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Targets that are written down, and labels that all of them get."""

    targets: tuple[str, ...] = ()
    labels: dict[str, str] = {}


class FileSdConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Files with lists of targets, JSON or YAML; the last part of a name may be a pattern."""

    files: tuple[str, ...] = ()
    refresh_interval: Milliseconds = Milliseconds(300_000)


class HttpSdConfig(HttpClient, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An URL that answers with a list of targets."""

    url: str = ""
    refresh_interval: Milliseconds = Milliseconds(60_000)


class ScrapeConfig(HttpClient, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of ``scrape_configs``. scrape_interval, scrape_timeout: 0 for those of ``global``."""

    job_name: str = ""
    scrape_interval: Milliseconds = Milliseconds(0)
    scrape_timeout: Milliseconds = Milliseconds(0)
    scrape_protocols: tuple[str, ...] = ()
    fallback_scrape_protocol: str = ""
    metrics_path: str = "/metrics"
    scheme: Literal["http", "https"] = "http"
    params: dict[str, tuple[str, ...]] = {}
    honor_labels: bool = False
    honor_timestamps: bool = True
    enable_compression: bool = True
    body_size_limit: Size = Size(0)
    sample_limit: Count = 0
    label_limit: Count = 0
    label_name_length_limit: Count = 0
    label_value_length_limit: Count = 0
    target_limit: Count = 0
    static_configs: tuple[StaticConfig, ...] = ()
    file_sd_configs: tuple[FileSdConfig, ...] = ()
    http_sd_configs: tuple[HttpSdConfig, ...] = ()
    relabel_configs: tuple[RelabelRule, ...] = ()
    metric_relabel_configs: tuple[RelabelRule, ...] = ()


class Global(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults of all entries. scrape_interval: 0 for the setting of Nissa."""

    scrape_interval: Milliseconds = Milliseconds(0)
    scrape_timeout: Milliseconds = Milliseconds(0)
    scrape_protocols: tuple[str, ...] = ()
    body_size_limit: Size = Size(0)
    sample_limit: Count = 0
    label_limit: Count = 0
    label_name_length_limit: Count = 0
    label_value_length_limit: Count = 0
    target_limit: Count = 0


class PrometheusFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, without what is passed over."""

    globals_: Global = msgspec.field(name="global", default=Global())
    scrape_configs: tuple[ScrapeConfig, ...] = ()


# Names of Prometheus that are not served. Of the file:
FILE_PASSED_OVER: Final = frozenset(
    ("rule_files", "alerting", "remote_write", "remote_read", "storage", "tracing", "otlp", "runtime")
)
FILE_REFUSED: Final = frozenset(("scrape_config_files",))
# Of ``global``: they concern rules and other servers.
GLOBAL_PASSED_OVER: Final = frozenset(("evaluation_interval", "rule_query_offset", "query_log_file", "external_labels"))
# Of an entry, and of ``global``: values that ask for what Nissa does anyway. Others are refused.
ANY_VALUE: Final = frozenset(("*",))
_FALSE: Final = frozenset(("false", ""))
ENTRY_ACCEPTED: Final = {
    "enable_http2": ANY_VALUE,  # answers are the same over HTTP/1.1
    "keep_dropped_targets": ANY_VALUE,  # lists of dropped targets have a limit here
    "track_timestamps_staleness": _FALSE,
    "scrape_failure_log_file": frozenset(("",)),
    "metric_name_validation_scheme": frozenset(("utf8", "")),
    "metric_name_escaping_scheme": frozenset(("allow-utf-8", "")),
    "scrape_native_histograms": _FALSE,  # they come in protobuf only, which is not asked for
    "always_scrape_classic_histograms": ANY_VALUE,
    "scrape_classic_histograms": ANY_VALUE,
    "convert_classic_histograms_to_nhcb": _FALSE,
    "native_histogram_bucket_limit": frozenset(("0", "")),
    "native_histogram_min_bucket_factor": frozenset(("0", "")),
    "extra_scrape_metrics": _FALSE,
}
CLIENT_REFUSED: Final = frozenset(
    ("oauth2", "http_headers", "no_proxy", "proxy_from_environment", "proxy_connect_header")
)
ENTRY_REFUSED: Final = CLIENT_REFUSED | frozenset(
    f"{kind}_sd_configs"
    for kind in (
        *("aws", "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "eureka", "gce", "hetzner"),
        *("ionos", "kubernetes", "kuma", "lightsail", "linode", "marathon", "nerve", "nomad", "openstack", "ovhcloud"),
        *("puppetdb", "scaleway", "serverset", "stackit", "triton", "uyuni", "vultr"),
    )
)
