"""Expands the templates in labels and annotations, as Prometheus does: ``{{ $labels.job }} is at {{ $value }}``.

    check_template(text)                       when a file is read: syntax and names of functions
    expand(text, facts)                        when an alert is active; the variables are those of the facts

A text without ``{{`` is returned as it is. Output, values and depth are bounded, and so is the work (``expansion.py``).
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec

from nissa.model.errors import NissaError
from nissa.rules.expansion import Expansion, TextOutput
from nissa.rules.template_functions import Ask, functions, names
from nissa.rules.template_names import check_names
from nissa.rules.template_syntax import Template, parse_template

STEPS_MAX: Final = 100_000
PARSED_MAX: Final = 4_096


class TemplateFacts(msgspec.Struct, frozen=True):
    """Variables of a template. value: of the alert. ask: evaluates an expression at ``now_ms``."""

    labels: Mapping[str, str]
    value: float
    external_labels: Mapping[str, str]
    external_url: str
    now_ms: int
    ask: Ask


@lru_cache(PARSED_MAX)
def _parsed(text: str) -> Template:
    return parse_template(text)


def check_template(text: str) -> None:
    """Parse a text and look at the names in it. Raises: ValueError."""
    template = _parsed(text)
    known = names()
    check_names(template.nodes, known, {"labels", "externalLabels", "externalURL", "value"})
    for nodes in template.defined.values():
        check_names(nodes, known)


def expand(text: str, facts: TemplateFacts) -> str:
    """The text with all actions carried out; where one fails, the text says so, as Prometheus does."""
    if "{{" not in text:
        return text
    try:
        return _expanded(_parsed(text), facts)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, NissaError) as error:
        return failure_text(error)


def failure_text(error: Exception) -> str:
    """The text in place of one that cannot be expanded."""
    return f"<error expanding template: {str(error)[:500]}>"


def _expanded(template: Template, facts: TemplateFacts) -> str:
    data = {
        "Labels": dict(facts.labels),
        "ExternalLabels": dict(facts.external_labels),
        "ExternalURL": facts.external_url,
        "Value": facts.value,
    }
    variables = {
        "$": data,
        "$labels": data["Labels"],
        "$externalLabels": data["ExternalLabels"],
        "$externalURL": data["ExternalURL"],
        "$value": data["Value"],
    }
    output = TextOutput()
    expansion = Expansion(template.defined, output, STEPS_MAX)
    expansion.functions = functions(facts.ask, facts.external_url, facts.now_ms, expansion.charge)
    expansion.expand(template.nodes, data, variables)
    return output.text()
