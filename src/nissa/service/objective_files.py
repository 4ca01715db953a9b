"""Finds and reads the files of objectives that the settings name, all or nothing."""

from importlib.resources import files
from typing import Final

from nissa.config.slo import SloSettings
from nissa.model.errors import ConfigInvalid
from nissa.promql.parse import check_expression
from nissa.rules.rule import RuleGroup
from nissa.service.rule_files import matching_paths
from nissa.slo.burn_rules import burn_rule_groups
from nissa.slo.objective import Objective
from nissa.slo.objective_file import parse_objective_file, read_objective_file

SHIPPED: Final = "nissa.slo.shipped"


def read_objectives(settings: SloSettings) -> tuple[Objective, ...]:
    """The objectives of all files, in order. Raises: ConfigInvalid, naming the setting, or the file and line."""
    found = [objective for name in settings.shipped for objective in _read_shipped(name, settings.window_ms)]
    for path in matching_paths(settings.files, "slo.files"):
        found += read_objective_file(path, settings.window_ms, check_expression)
    if len(found) > settings.objectives_max:
        what = f"{len(found)} objectives are more than {settings.objectives_max} (slo.objectives_max)"
        raise ConfigInvalid("slo.files", what)
    names: dict[str, str] = {}
    for objective in found:
        if objective.name in names:
            what = f"the objective {objective.name!r} of {objective.file} is in {names[objective.name]} too"
            raise ConfigInvalid("slo.files", what)
        names[objective.name] = objective.file
    return tuple(found)


def read_burn_groups(settings: SloSettings) -> tuple[RuleGroup, ...]:
    """Groups of rules that watch all objectives. Raises: as ``read_objectives``."""
    objectives = read_objectives(settings)
    return tuple(group for one in objectives for group in burn_rule_groups(one, float(settings.burn_alert_threshold)))


def _read_shipped(name: str, window_ms: int) -> tuple[Objective, ...]:
    names = sorted(
        entry.name.removesuffix(".yaml") for entry in files(SHIPPED).iterdir() if entry.name.endswith(".yaml")
    )
    if name not in names:
        raise ConfigInvalid("slo.shipped", f"{name[:80]!r} is none of {', '.join(names)}")
    text = (files(SHIPPED) / f"{name}.yaml").read_bytes()
    return parse_objective_file(text, f"shipped-slo:{name}", window_ms, check_expression)
