"""Results of `syncer snapshot` and `syncer diff` as lines; pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from syncer.cli.output import printable
from syncer.cli.wording import bytes_in_words, counted, seconds_in_words


def lines_of(result: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each target and domain, and the plan of each that has one."""
    for target in result["targets"]:
        for domain in target["domains"]:
            yield printable(f"{target['name']} {domain['name']}: ") + _outcome(domain)
            yield from _plan(domain)
            for item in domain["unsent"]:
                yield f"  not sent {printable(item['path'])}: {printable(item['reason'])}"


def _outcome(domain: dict[str, Any]) -> str:
    took = f"in {seconds_in_words(domain['seconds'])}"
    match domain["outcome"]:
        case "equal" if domain["unsent"]:
            return f"equal but for {counted(len(domain['unsent']), 'file')} that cannot be sent ({took[3:]})"
        case "equal":
            return f"equal, nothing to do ({took[3:]})"
        case "applied":
            size = bytes_in_words(domain["bytes"])
            return f"applied {counted(domain['changes'], 'change')}, sent {size}, {took}"
        case "planned":
            return f"{counted(domain['plan_total'], 'path')} would change{_approval(domain)}"
        case outcome:
            return printable(f"{outcome}: {domain['error']}")


def _approval(domain: dict[str, Any]) -> str:
    return "; a synchronization would ask for your approval" if domain["approval"] else ""


def _plan(domain: dict[str, Any]) -> Iterator[str]:
    plan = domain["plan"]
    for item in plan:
        size = f" ({bytes_in_words(item['size'])})" if item["kind"] == "file" and item["action"] != "delete" else ""
        yield f"  {item['action']:<8} {item['kind']:<9} {printable(item['path'])}{size}"
    if domain["plan_total"] > len(plan):
        yield f"  and {counted(domain['plan_total'] - len(plan), 'more path')}"


def waiting_approvals(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a result says must be approved first: target, domain, id, deletions, overwrites, sample."""
    return [
        {"target": target["name"], "domain": domain["name"], **domain["approval"]}
        for target in result["targets"]
        for domain in target["domains"]
        if domain["outcome"] == "refused" and domain["approval"]
    ]


def approval_lines(approvals: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what each approval would let pass, with some of the paths."""
    for approval in approvals:
        deletions, overwrites = approval["deletions"], approval["overwrites"]
        lost = f"{counted(deletions, 'deletion')} and {counted(overwrites, 'overwrite')}"
        yield printable(f"{approval['target']} {approval['domain']}: {lost} there wait for your approval")
        if approval.get("reason"):
            yield f"  {printable(approval['reason'])}"
        sample = approval.get("sample") or []
        for item in sample:
            yield f"  {item['action']:<8} {printable(item['path'])}"
        if sample and deletions + overwrites > len(sample):
            yield f"  and {counted(deletions + overwrites - len(sample), 'more path')}"
