"""External labels: what tells one Nissa from others where several are read together.

    stored                    external labels {site="a"}    answered
    up{job="x"}               are added                     up{job="x", site="a"}
    up{job="x", site="b"}     own labels stand              up{job="x", site="b"}

A matcher of such a label is judged by what is answered. Stored series without the label have the external value, so the
selector of stored series leaves a matcher out that takes this value, and what is answered is judged again.
"""

from collections.abc import Mapping

from nissa.model.matcher import Matcher, MatchOp, Selector
from nissa.model.predicate import takes

Pairs = list[tuple[str, str]]


class ExternalLabels:
    """Labels that are added to series that do not have them; none by default."""

    def __init__(self, labels: Mapping[str, str] | None = None) -> None:
        self._labels = dict(labels or {})

    def stored(self, selector: Selector) -> Selector:
        """Matchers of stored labels that take every series that ``answered`` does. Raises: BadQuery."""
        found: list[Matcher] = []
        for matcher in selector:
            external = self._labels.get(matcher.name)
            if external is None:
                found.append(matcher)
            elif not takes(matcher, external):  # only series with a value of their own
                found += [matcher, Matcher(matcher.name, MatchOp.NOT_EQUAL, "")]
        return tuple(found)

    def answered(self, labels: Pairs, selector: Selector) -> Pairs | None:
        """Labels of a stored series in the answer, sorted; None if the selector does not take it."""
        if not self._labels:
            return sorted(labels)
        found = {**self._labels, **dict(labels)}
        judged = (matcher for matcher in selector if matcher.name in self._labels)
        if not all(takes(matcher, found[matcher.name]) for matcher in judged):
            return None
        return sorted(found.items())
