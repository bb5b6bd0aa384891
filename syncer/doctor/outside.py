"""Files that services read, or links lead to, and nobody synchronizes: what a failover would lack."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from syncer.config import DomainSettings
from syncer.doctor.coverage import Place, trail
from syncer.doctor.findings import Finding, Severity, fine, noted, warned
from syncer.doctor.following import Follower, Met, Standing, bases_of
from syncer.doctor.packaged import is_of_kernel, is_system
from syncer.doctor.subject import Subject
from syncer.doctor.tree import LINKS_MOST

FINDINGS_MOST = 200
"""Of one domain; the rest is counted."""
_NAMES_SHOWN = 3


def outside_files(subject: Subject) -> Iterator[Finding]:
    """Yield what the domains' services and links need from outside, and a word for each domain without any."""
    for domain in subject.domains:
        looked = Look(subject, domain)
        looked.take_all()
        found = sorted(set(looked.findings), key=lambda finding: (_ORDER[finding.severity], finding.where))
        yield from found[:FINDINGS_MOST]
        if len(found) > FINDINGS_MOST:
            yield warned(
                f"{len(found) - FINDINGS_MOST:,} more findings", f"domain {domain.name}", "cure those above first"
            )
        if all(finding.severity is Severity.NOTE for finding in found):
            files, links = looked.files, len(subject.tree(domain).links)
            yield fine(
                f"nothing that it reads or leads to is missing ({files:,} configuration files followed, "
                f"{links:,} links)",
                f"domain {domain.name}",
            )


_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2, Severity.OK: 3}


@dataclass
class Look:
    """One look at one domain; `findings` is filled by `take_all`."""

    subject: Subject
    domain: DomainSettings
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    _judged: set[str] = field(default_factory=set)
    _packaged: dict[str, None] = field(default_factory=dict)
    """Files that packages bring, in the order in which they were met."""

    def take_all(self) -> None:
        """Follow configuration files first, then links."""
        for path, kind in self._entrances():
            follower = Follower(bases_of(path, kind))
            self.files += 1
            for met in follower.follow(path, kind):
                self._take(met)
            if follower.is_cut:
                self._add(warned(f"its includes go on: not followed further {follower.is_cut}", path, "look yourself"))
        tree = self.subject.tree(self.domain)
        for link in tree.links:
            self._take_link(link)
        if tree.is_cut:
            what = f"has more links or configuration files than {LINKS_MOST:,}: the rest was not looked at"
            self._add(noted(what, f"domain {self.domain.name}"))
        self._name_packaged()

    def _entrances(self) -> Iterable[tuple[str, str]]:
        tree = self.subject.tree(self.domain)
        with_main = {kind for _, kind in tree.mains}
        return sorted(tree.mains) + sorted(part for part in tree.parts if part[1] not in with_main)

    def _take(self, met: Met) -> None:
        said = f"read by {met.reader} line {met.reference.line} ({met.reference.directive})"
        match met.standing:
            case Standing.DYNAMIC:
                what = f"{said}, is known only when the service runs, so it cannot be followed"
                self._add(noted(what, met.path, "make sure that a domain holds what it can be"))
            case Standing.ENDLESS:
                self._add(warned(f"{said}, matches too much to be followed", met.path, "name a narrower pattern"))
            case Standing.UNREADABLE:
                about = said if met.reference.line else "is read by its service"
                cure = "run `syncer doctor` as root, or look yourself"
                self._add(noted(f"{about}, and cannot be read now: what it names is not known", met.path, cure))
            case Standing.MISSING:
                if not met.reference.optional and met.path not in self._judged:
                    self._judged.add(met.path)
                    what = f"{said}, does not exist on this node"
                    self._add(warned(what, met.path, "put it there, or correct the line"))
            case Standing.THERE:
                if met.reference.follow:
                    self.files += 1
                self._judge(met.path, said)

    def _take_link(self, link: str) -> None:
        _, *steps = trail(link)
        if not steps:
            return
        last = steps[-1]
        said = f"where the link {link} leads"
        if os.path.lexists(last):
            self._judge(link, said)
        elif not is_of_kernel(last) and not self.subject.coverage.place(last, is_directory=False).domain:
            self._add(warned(f"{said}, does not exist on this node", last, "put it there, or remove the link"))

    def _judge(self, path: str, said: str) -> None:
        """Look at every step of the way to what a path leads to: each must be on failover, too."""
        for step in trail(path):
            if step in self._judged or is_of_kernel(step):
                continue
            self._judged.add(step)
            if os.path.islink(step) and self.subject.coverage.leads_to_a_root(step):
                continue
            place = self.subject.coverage.place(step, is_directory=_is_directory(step))
            if place.is_synchronized:
                self._judge_targets(step, said, place.domain)
            elif is_system(step) or self.subject.packages.brought_unchanged(step):
                if not os.path.islink(step):
                    self._packaged.setdefault(step)
            elif self.subject.receives:
                what = f"{said}, {_where(place)}: this node's own is used"
                self._add(noted(what, step, "keep it right by hand, or add it to a domain on production"))
            else:
                what = f"{said}, {_where(place)}: after failover it would be missing"
                cure = "change the patterns" if place.domain else "add it to a domain, or see that failover has its own"
                self._add(warned(what, step, cure))

    def _judge_targets(self, path: str, said: str, holder: str) -> None:
        if holder == self.domain.name or self.subject.receives:
            return
        for target in self.subject.settings.failover:
            if self.domain.name in target.domains and holder not in target.domains:
                what = f"{said}, is in domain {holder}, which {target.name} does not receive: it would be missing there"
                self._add(warned(what, path, f"add {holder} to the domains of {target.name}"))

    def _name_packaged(self) -> None:
        names = list(self._packaged)
        if names:
            more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
            what = f"files of packages are read: {', '.join(names[:_NAMES_SHOWN])}{more}"
            self._add(noted(what, f"domain {self.domain.name}", "install the same packages on both nodes"))

    def _add(self, finding: Finding) -> None:
        self.findings.append(finding)


def _where(place: Place) -> str:
    return f"is in domain {place.domain}, but not synchronized ({place.why})" if place.domain else "is in no domain"


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
