"""Subjects of NATS and patterns of them. Pure functions."""


def takes_all(pattern: str, subject: str) -> bool:
    """True where ``pattern`` takes everything that ``subject``, which may be a pattern itself, takes.

    ``*`` stands for one part, ``>`` at the end for one or more.
    """
    wanted, parts = pattern.split("."), subject.split(".")
    for index, part in enumerate(wanted):
        if part == ">":
            return len(parts) > index
        if index >= len(parts) or parts[index] == ">":
            return False
        if part not in ("*", parts[index]):
            return False
    return len(wanted) == len(parts)


def is_pattern(subject: str) -> bool:
    """True for a subject or pattern that NATS takes."""
    parts = subject.split(".")
    if not all(part and part.isprintable() and " " not in part for part in parts):
        return False
    return all(
        part == "*" or ("*" not in part and (">" not in part or (part == ">" and index == len(parts) - 1)))
        for index, part in enumerate(parts)
    )
