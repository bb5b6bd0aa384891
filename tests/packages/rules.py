"""The rules of the package tests: each kind of rule once, as an operator of these two machines would write them."""

from __future__ import annotations

from syncer.substitution.rules import Rule, RuleSet

RULES = (
    Rule("10.71.0.0/16", "10.72.0.0/16"),
    # Application and database stand the other way round on failover's site; a more specific rule wins.
    Rule("10.71.0.10", "10.72.0.20"),
    Rule("10.71.0.20", "10.72.0.10"),
    Rule("2001:db8:71::/48", "2001:db8:72::/48"),
    Rule("prod.example.com", "failover.example.com"),
    Rule("192.0.2.71", "192.0.2.72", swap=True),
    Rule("198.51.100.71", "198.51.100.72", paths=("*.conf",), except_paths=("/kept/**",)),
)


def rule_set() -> RuleSet:
    """Return all rules, proved."""
    return RuleSet.of(RULES)


def tables() -> str:
    """Return the rules as they stand in a configuration, below the table of their target."""
    lines: list[str] = []
    for rule in RULES:
        lines += ["", "[[failover.substitute]]", f'from = "{rule.source}"', f'to = "{rule.target}"']
        if rule.swap:
            lines.append("swap = true")
        if rule.except_paths:
            lines += [f"paths = {list(rule.paths)}", f"except_paths = {list(rule.except_paths)}"]
    return "\n".join(lines) + "\n"
