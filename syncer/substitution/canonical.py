"""Rules as bytes, for the handshake and node.db; what is read back may come from anybody."""

from __future__ import annotations

import json
from collections.abc import Iterable

from syncer.substitution.rule import Flaw, Rule, RulesError

MOST_BYTES = 1 << 20
MOST_RULES = 10_000
_VERSION = 1


def encoded(rules: Iterable[Rule]) -> bytes:
    """Return `rules` as JSON in ASCII; b"" for none."""
    rows = [list(rule) for rule in rules]
    return json.dumps([_VERSION, *rows], separators=(",", ":")).encode("ascii") if rows else b""


def decoded(data: bytes) -> list[Rule]:
    """Return the rules of `data`, which may be anything; they are not yet checked.

    Raises RulesError where `data` is too large, or nothing that `encoded` writes.
    """
    if not data:
        return []
    if len(data) > MOST_BYTES:
        raise _refused(f"have {len(data)} bytes, more than {MOST_BYTES}")
    try:
        document = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise _refused("are not what syncer writes") from None
    if not isinstance(document, list) or not document or type(document[0]) is not int:
        raise _refused("are not what syncer writes")
    if document[0] != _VERSION:
        raise _refused(f"are written in the unknown form {str(document[0])[:20]}")
    if len(document) - 1 > MOST_RULES:
        raise _refused(f"are {len(document) - 1}, more than {MOST_RULES}")
    return [_rule(number, row) for number, row in enumerate(document[1:])]


def _rule(number: int, row: object) -> Rule:
    if isinstance(row, list) and len(row) == len(Rule._fields):
        source, target, swap, *lists = row
        if (
            isinstance(source, str)
            and isinstance(target, str)
            and isinstance(swap, bool)
            and all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists)
        ):
            return Rule(source, target, swap, *(tuple(texts) for texts in lists))
    raise _refused("are not what syncer writes", number)


def _refused(what: str, number: int = 0) -> RulesError:
    return RulesError([Flaw(number, "", f"substitution rules {what}: both nodes must run versions that fit together")])
