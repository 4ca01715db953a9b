"""Kinds of channels: the notifier that a channel of the configuration gets. Libraries are loaded where one is used."""

from nissa.config.receivers import (
    AlertmanagerConfig,
    Channel,
    EmailConfig,
    NatsConfig,
    OonaConfig,
    PagerdutyConfig,
    SlackConfig,
    WebhookConfig,
)
from nissa.model.errors import InvariantBroken
from nissa.notifiers.go_texts import TextLibrary
from nissa.notifiers.notifier import Notifier


def notifier_of(config: Channel, setting: str, library: TextLibrary) -> Notifier:
    """The notifier of a channel. setting: path of the channel, for messages. library: texts that its texts may include.

    Raises: ConfigInvalid.
    """
    match config:
        case WebhookConfig():
            from nissa.notifiers.webhook import WebhookNotifier

            return WebhookNotifier(config, setting, library)
        case SlackConfig():
            from nissa.notifiers.slack import SlackNotifier

            return SlackNotifier(config, setting, library)
        case PagerdutyConfig():
            from nissa.notifiers.pagerduty import PagerdutyNotifier

            return PagerdutyNotifier(config, setting, library)
        case EmailConfig():
            from nissa.notifiers.email import EmailNotifier

            return EmailNotifier(config, setting, library)
        case AlertmanagerConfig():
            from nissa.notifiers.alertmanager import AlertmanagerNotifier

            return AlertmanagerNotifier(config, setting)
        case NatsConfig():
            from nissa.notifiers.nats import NatsNotifier

            return NatsNotifier(config, setting)
        case OonaConfig():
            from nissa.notifiers.oona import OonaNotifier

            return OonaNotifier(config, setting)
    raise InvariantBroken(f"{setting}: no notifier for {type(config).__name__}")
