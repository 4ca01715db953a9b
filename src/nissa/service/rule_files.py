"""Finds and reads the rule files that the settings name, all or nothing."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from nissa.config.alerting import Alerting
from nissa.config.rules import RuleSettings
from nissa.model.errors import ConfigInvalid
from nissa.promql.parse import check_expression
from nissa.rules.rule import RuleGroup
from nissa.rules.rule_file import DEFAULT_LIMITS, parse_rule_file, read_rule_file
from nissa.rules.text_limits import TextLimits

FILES_MAX: Final = 10_000
SHIPPED: Final = "nissa.rules.shipped"
WILD: Final = frozenset("*?[")


def text_limits(alerting: Alerting) -> TextLimits:
    """Limits of labels and annotations of rules, as the settings have them."""
    return TextLimits(
        alerting.labels_max, alerting.label_bytes_max, alerting.annotations_max, alerting.annotation_bytes_max
    )


def read_rule_groups(settings: RuleSettings, limits: TextLimits = DEFAULT_LIMITS) -> tuple[RuleGroup, ...]:
    """The groups of all files, in order. Raises: ConfigInvalid, naming the setting, or the file and line."""
    groups = [group for name in settings.shipped for group in _read_shipped(name)]
    for path in matching_paths(settings.files, "rules.files"):
        groups += read_rule_file(path, check_expression, limits)
    total = sum(len(group.rules) for group in groups)
    if total > settings.rules_max:
        raise ConfigInvalid(
            "rules.files", f"{total} rules are over the limit of {settings.rules_max} (rules.rules_max)"
        )
    keys = set()
    for group in groups:
        if group.key in keys:
            raise ConfigInvalid("rules.files", f"{group.file} is named twice")
        keys.add(group.key)
    return tuple(groups)


def shipped_names() -> list[str]:
    """Names of the rule files that come with Nissa."""
    names = [entry.name.removesuffix(".yaml") for entry in files(SHIPPED).iterdir() if entry.name.endswith(".yaml")]
    return sorted(name for name in names if not name.endswith("_test"))


def _read_shipped(name: str) -> tuple[RuleGroup, ...]:
    if name not in shipped_names():
        raise ConfigInvalid("rules.shipped", f"{name[:80]!r} is none of {', '.join(shipped_names())}")
    return parse_rule_file((files(SHIPPED) / f"{name}.yaml").read_bytes(), f"shipped:{name}", check_expression)


def matching_paths(patterns: Sequence[str], setting: str) -> list[Path]:
    """Files of paths and patterns, in order. setting: its name. Raises: ConfigInvalid where they are too many."""
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if WILD.isdisjoint(pattern):
            found.append(path)
            continue
        anchor = Path(path.anchor) if path.anchor else Path()
        found += sorted(anchor.glob(str(path.relative_to(path.anchor)) if path.anchor else pattern))
        if len(found) > FILES_MAX:
            raise ConfigInvalid(setting, f"{pattern} matches more than {FILES_MAX} files")
    return found
