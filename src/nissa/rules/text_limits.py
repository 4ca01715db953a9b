"""Limits of the labels and annotations that a rule puts on its alerts: those of alerts that are posted."""

from collections.abc import Mapping

import msgspec

from nissa.model.units import KIB


class TextLimits(msgspec.Struct, frozen=True):
    """As ``alerting.labels_max`` and the settings beside it. Sizes: bytes of a name and its text."""

    labels_max: int = 64
    label_bytes_max: int = 4 * KIB
    annotations_max: int = 64
    annotation_bytes_max: int = 64 * KIB

    def check_count(self, texts: Mapping[str, str], kind: str) -> None:
        """kind: labels or annotations. Raises: ValueError where they are too many."""
        limit = self.labels_max if kind == "labels" else self.annotations_max
        if len(texts) > limit:
            raise ValueError(f"{len(texts)} are over the limit of {limit} (alerting.{kind}_max)")

    def check_size(self, name: str, text: str, kind: str) -> None:
        """kind: labels or annotations. Raises: ValueError where the two are too long, or a label has a zero."""
        if kind == "labels" and ("\0" in name or "\0" in text):
            raise ValueError("the zero character is not allowed")
        limit = self.label_bytes_max if kind == "labels" else self.annotation_bytes_max
        size = len(name.encode()) + len(text.encode())
        if size > limit:
            setting = "label_size_max" if kind == "labels" else "annotation_size_max"
            raise ValueError(f"{size} bytes are over the limit of {limit} (alerting.{setting})")
