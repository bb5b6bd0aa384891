"""What a valid configuration leaves to worry about on this machine now; for `syncer config check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from syncer.config.programs import missing_hooks, missing_programs
from syncer.config.settings import DomainSettings, FailoverSettings, Settings
from syncer.model import Mode
from syncer.substitution.chains import chains_of
from syncer.substitution.normal import scope_of
from syncer.substitution.scope import in_domain


def warnings_of(settings: Settings) -> tuple[str, ...]:
    """Return one sentence for each thing that is allowed, but probably not meant."""
    return tuple(_warnings(settings))


def _warnings(settings: Settings) -> Iterator[str]:
    file = settings.source
    if not settings.domains:
        yield f"{file}: domains: there is none, so nothing is synchronized: add a table as [domains.nginx]"
    for domain in settings.domains:
        yield from _root_warnings(settings, domain)
        for key, program in missing_programs(domain):
            yield (
                f"{file}: domains.{domain.name}.{key}: {program} is not there, or cannot be run: install the program, "
                "or correct the command"
            )
        if domain.freeze and not domain.start:
            yield (
                f"{file}: domains.{domain.name}.start: is empty, and `freeze` is not, so nothing starts its services "
                "again after `syncer thaw`: add a command, or start them by hand"
            )
    for key, program in missing_hooks(settings.hooks):
        yield (
            f"{file}: hooks.{key}: {program} is not there, or cannot be run: install the program, or correct the "
            "command"
        )
    # Late: only who asks for warnings pays for it.
    from syncer.config.alarm_warning import alarm_warnings

    yield from alarm_warnings(settings)
    if settings.node.mode is Mode.PRODUCTION and not settings.failover:
        yield (
            f"{file}: failover: there is none, so production sends to nobody: "
            "add a table [[failover]] for each failover server"
        )
    for target in settings.failover:
        yield from _rule_warnings(file, target)


def _rule_warnings(file: Path, target: FailoverSettings) -> Iterator[str]:
    where = f"{file}: failover[{target.name}].substitute"
    for rule in target.rules.rules:
        if not any(in_domain(scope_of(rule), domain) for domain in target.domains):
            yield (
                f"{where}: the rule {rule} is for none of the domains that {target.name} receives, so it does nothing: "
                "name one of them, or remove the rule"
            )
        for name in (rule.source, rule.target) if rule.swap else (rule.source,):
            if not {".", ":"}.intersection(name):
                yield (
                    f"{where}: the rule {rule} finds the word {name} wherever it stands alone: "
                    "write the whole host name where that is not meant"
                )
    for first, second in chains_of(target.rules):
        yield (
            f"{where}: the rules {first} and {second} do not cascade: what the first makes is left alone by the second"
        )


def _root_warnings(settings: Settings, domain: DomainSettings) -> Iterator[str]:
    where = f"{settings.source}: domains.{domain.name}.path: {domain.path}"
    # Not an error: the file system may be mounted later.
    try:
        is_directory = domain.path.is_dir()
        exists = is_directory or domain.path.exists()
    except OSError as error:
        yield f"{where} cannot be looked at ({error.strerror}): let the user that runs syncer read it"
        return
    if not exists:
        yield f"{where} is missing: the domain stays suspended until it is there"
    elif not is_directory:
        yield f"{where} is not a directory: the domain stays suspended until it is one"
