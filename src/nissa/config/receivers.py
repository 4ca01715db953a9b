"""Structs of receivers: where notifications go, and how. Names and defaults are those of Alertmanager.

    receivers:
      - name: on-call
        pagerduty_configs: [{routing_key_file: /etc/nissa/pagerduty}]
        slack_configs: [{api_url_file: /etc/nissa/slack, channel: "#alerts"}]

``alertmanager_configs``, ``nats_configs`` and ``oona_configs`` are Nissa's own. So are ``secret`` and ``secret_file``
of webhooks, ``token`` of Slack, and ``hourly_limit`` and ``timeout`` of every channel. Texts are templates of Go, as
Alertmanager's are, or of Jinja2.
"""

from typing import Annotated, Final

import msgspec

from nissa.config.scrape_configs import Authorization, BasicAuth, Milliseconds, TlsConfig

HOURLY_MAX: Final = 1_000_000
Hourly = Annotated[int, msgspec.Meta(ge=0, le=HOURLY_MAX)]
Whole = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class HttpConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Access to an HTTP server."""

    basic_auth: BasicAuth | None = None
    authorization: Authorization | None = None
    bearer_token: str = ""
    bearer_token_file: str = ""
    tls_config: TlsConfig = TlsConfig()
    proxy_url: str = ""
    follow_redirects: bool = True
    enable_http2: bool = True


class ChannelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fields of every channel.

    send_resolved: also notify of resolved alerts. hourly_limit: messages within an hour, after which the rest
    comes as one digest; 0: no limit. timeout: of one attempt.
    """

    send_resolved: bool = True
    hourly_limit: Hourly = 0
    timeout: Milliseconds = Milliseconds(10_000)


class WebhookConfig(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Any HTTP server: Alertmanager's body of version 4. secret: signs each body by HMAC-SHA256."""

    url: str = ""
    url_file: str = ""
    http_config: HttpConfig | None = None
    max_alerts: Whole = 0
    secret: str = ""
    secret_file: str = ""


class SlackField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field of a message of Slack. short: shown beside another one; None: as ``short_fields`` says."""

    title: str
    value: str
    short: bool | None = None


class SlackAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A button that opens an address. style: ``primary``, ``danger`` or nothing. name, value: passed over."""

    text: str
    url: str
    type: str = "button"
    style: str = ""
    name: str = ""
    value: str = ""


class SlackConfig(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Slack's incoming webhooks. Also Mattermost and Rocket.Chat, which take the same body.

    token: of a bot, with which messages of one group form a thread. callback_id, mrkdwn_in: passed over, as
    messages are made of blocks.
    """

    send_resolved: bool = False
    hourly_limit: Hourly = 500
    api_url: str = ""
    api_url_file: str = ""
    token: str = ""
    token_file: str = ""
    http_config: HttpConfig | None = None
    channel: str = ""
    username: str = ""
    color: str = ""
    title: str = ""
    title_link: str = ""
    text: str = ""
    icon_emoji: str = ""
    icon_url: str = ""
    pretext: str = ""
    fallback: str = ""
    footer: str = ""
    image_url: str = ""
    thumb_url: str = ""
    callback_id: str = ""
    fields: Annotated[tuple[SlackField, ...], msgspec.Meta(max_length=50)] = ()
    actions: Annotated[tuple[SlackAction, ...], msgspec.Meta(max_length=25)] = ()
    short_fields: bool = False
    link_names: bool = False
    mrkdwn_in: tuple[str, ...] = ()


class PagerdutyConfig(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """PagerDuty's Events API v2. Alerts of a group share one incident, whose dedup key is made of the group key."""

    hourly_limit: Hourly = 100
    routing_key: str = ""
    routing_key_file: str = ""
    url: str = ""
    http_config: HttpConfig | None = None
    client: str = ""
    client_url: str = ""
    description: str = ""
    severity: str = ""
    source: str = ""
    component: str = ""
    group: str = ""
    class_: str = msgspec.field(name="class", default="")
    details: dict[str, str] = {}


class EmailConfig(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """E-mail over SMTP. Fields left out come from ``global``. require_tls: STARTTLS, unless the port is 465."""

    send_resolved: bool = False
    hourly_limit: Hourly = 100
    to: str = ""
    from_: str = msgspec.field(name="from", default="")
    smarthost: str = ""
    hello: str = ""
    auth_username: str = ""
    auth_password: str = ""
    auth_password_file: str = ""
    require_tls: bool | None = None
    tls_config: TlsConfig = TlsConfig()
    headers: dict[str, str] = {}
    html: str = ""
    text: str = ""


class AlertmanagerConfig(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another Alertmanager, by its API v2: it gets the alerts of a group one by one, as Prometheus sends them."""

    url: str = ""
    http_config: HttpConfig | None = None


class NatsConfig(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A subject of NATS: the body of a webhook. servers: as ``sources.nats.servers``."""

    servers: tuple[str, ...] = ()
    subject: str = "alert.events"
    jetstream: bool = False


class OonaConfig(ChannelConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Esper's bus on Redis Streams: a ``nissa.v2.AlertNotification`` for each alert."""

    url: str = ""
    stream: str = "alert.events"
    stream_entries_max: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 10_000


Channel = WebhookConfig | SlackConfig | PagerdutyConfig | EmailConfig | AlertmanagerConfig | NatsConfig | OonaConfig


def repeats_always(channel: Channel) -> bool:
    """True if a channel gets firing alerts with every flush, regardless of ``repeat_interval``."""
    return isinstance(channel, AlertmanagerConfig)


def takes_acknowledgements(channel: Channel) -> bool:
    """True if a channel is notified of acknowledgements of a group."""
    return isinstance(channel, PagerdutyConfig)


class ReceiverConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One receiver: a name, and the channels that get its notifications. Without channels it gets nothing."""

    name: str = ""
    webhook_configs: tuple[WebhookConfig, ...] = ()
    slack_configs: tuple[SlackConfig, ...] = ()
    pagerduty_configs: tuple[PagerdutyConfig, ...] = ()
    email_configs: tuple[EmailConfig, ...] = ()
    alertmanager_configs: tuple[AlertmanagerConfig, ...] = ()
    nats_configs: tuple[NatsConfig, ...] = ()
    oona_configs: tuple[OonaConfig, ...] = ()

    def channels(self) -> dict[str, Channel]:
        """Channels by their place in the receiver, such as ``webhook[0]``."""
        return {
            f"{field.name.removesuffix('_configs')}[{number}]": one
            for field in msgspec.structs.fields(self)
            if field.name != "name"
            for number, one in enumerate(getattr(self, field.name))
        }


class GlobalAlerting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults of receivers. resolve_timeout: an alert without an end counts as resolved so long after it was sent."""

    resolve_timeout: Milliseconds = Milliseconds(300_000)
    http_config: HttpConfig = HttpConfig()
    smtp_from: str = ""
    smtp_hello: str = "localhost"
    smtp_smarthost: str = ""
    smtp_auth_username: str = ""
    smtp_auth_password: str = ""
    smtp_auth_password_file: str = ""
    smtp_require_tls: bool = True
    slack_api_url: str = ""
    slack_api_url_file: str = ""
    pagerduty_url: str = "https://events.pagerduty.com/v2/enqueue"


# Of Alertmanager, not served here.
RECEIVERS_REFUSED: Final = frozenset(
    f"{kind}_configs"
    for kind in (
        *("discord", "incidentio", "jira", "mattermost", "msteams", "msteamsv2", "opsgenie", "pushover", "rocketchat"),
        *("sns", "telegram", "victorops", "webex", "wechat"),
    )
)
SECRET_FIELDS: Final = frozenset(
    (
        *(
            "api_url",
            "slack_api_url",
            "auth_password",
            "smtp_auth_password",
            "routing_key",
            "secret",
            "token",
            "password",
        ),
        *("credentials", "bearer_token", "key", "url"),
    )
)
