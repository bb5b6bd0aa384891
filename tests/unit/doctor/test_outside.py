"""Files that services read and nobody synchronizes: which are named, how gravely, and which are not."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.config import load
from syncer.doctor.findings import Finding, Severity
from syncer.doctor.outside import outside_files
from syncer.doctor.subject import Subject

Examined = Callable[..., Subject]
DEBIAN_NGINX = Path("/etc/nginx")


def found(subject: Subject) -> list[Finding]:
    return [finding for finding in outside_files(subject) if finding.severity is not Severity.OK]


def only(subject: Subject) -> Finding:
    [finding] = found(subject)
    return finding


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


def test_a_key_in_no_domain_is_named_with_its_reader_line_and_cure(
    examined: Examined, tmp_path: Path, outside: Path
) -> None:
    subject = examined()
    (outside / "x.key").touch()
    main = tmp_path / "nginx" / "nginx.conf"
    main.write_text(f"events {{}}\nssl_certificate_key {outside}/x.key;\n")
    assert only(subject) == Finding(
        Severity.WARNING,
        f"read by {main} line 2 (ssl_certificate_key), is in no domain: after failover it would be missing",
        f"{outside}/x.key",
        "add it to a domain, or see that failover has its own",
    )


def test_what_is_in_the_domain_or_in_another_one_is_no_finding(examined: Examined, tmp_path: Path) -> None:
    subject = examined({"nginx": "", "keys": ""}, targets={"dr-a": ""})
    (tmp_path / "keys" / "x.key").touch()
    (tmp_path / "nginx" / "own.pem").touch()
    text = f"ssl_certificate_key {tmp_path}/keys/x.key;\nssl_certificate own.pem;\nssl_certificate {tmp_path}/keys;"
    (tmp_path / "nginx" / "nginx.conf").write_text(text)
    assert found(subject) == []
    assert [finding.severity for finding in outside_files(subject)] == [Severity.OK, Severity.OK]


def test_a_domain_that_a_target_does_not_receive_does_not_help_there(examined: Examined, tmp_path: Path) -> None:
    subject = examined({"nginx": "", "keys": ""}, targets={"dr-a": 'domains = ["nginx"]', "dr-b": ""})
    (tmp_path / "keys" / "x.key").touch()
    (tmp_path / "nginx" / "nginx.conf").write_text(f"ssl_certificate_key {tmp_path}/keys/x.key;")
    finding = only(subject)
    assert "is in domain keys, which dr-a does not receive" in finding.what
    assert finding.cure == "add keys to the domains of dr-a"


def test_an_excluded_file_names_the_pattern(examined: Examined, tmp_path: Path) -> None:
    subject = examined({"nginx": 'exclude = ["*.key"]'})
    (tmp_path / "nginx" / "x.key").touch()
    (tmp_path / "nginx" / "nginx.conf").write_text("ssl_certificate_key x.key;")
    finding = only(subject)
    assert "is in domain nginx, but not synchronized (the exclude pattern '*.key' matches it)" in finding.what


def test_syncers_own_files_are_never_synchronized(examined: Examined, tmp_path: Path) -> None:
    subject = examined()
    subject.protected = lambda _: [b"own"]
    (tmp_path / "nginx" / "own").touch()
    (tmp_path / "nginx" / "nginx.conf").write_text("include own;")
    assert "one of syncer's own files" in only(subject).what


@pytest.mark.parametrize("line", ["ssl_dhparam {gone};", "include {gone};"])
def test_what_is_missing_here_too_is_a_finding(examined: Examined, tmp_path: Path, outside: Path, line: str) -> None:
    subject = examined()
    (tmp_path / "nginx" / "nginx.conf").write_text(line.format(gone=outside / "gone"))
    assert "does not exist on this node" in only(subject).what


def test_what_may_be_missing_is_no_finding(examined: Examined, tmp_path: Path, outside: Path) -> None:
    subject = examined({"nginx": "", "systemd": ""})
    (tmp_path / "nginx" / "nginx.conf").write_text(f"include {outside}/*.conf;")
    (tmp_path / "systemd" / "a.service").write_text(f"EnvironmentFile=-{outside}/gone\n")
    assert found(subject) == []


def test_a_unit_that_is_switched_off_is_no_finding(examined: Examined, tmp_path: Path) -> None:
    subject = examined({"systemd": ""})
    (tmp_path / "systemd" / "a.service").symlink_to("/dev/null")
    assert found(subject) == []


def test_what_several_lines_name_is_said_once(examined: Examined, tmp_path: Path, outside: Path) -> None:
    subject = examined()
    (outside / "there").touch()
    text = f"ssl_dhparam {outside}/gone;\nssl_crl {outside}/there;\n"
    (tmp_path / "nginx" / "nginx.conf").write_text(text + text)
    assert [finding.where for finding in found(subject)] == [f"{outside}/gone", f"{outside}/there"]


def test_variables_are_a_note(examined: Examined, tmp_path: Path) -> None:
    subject = examined()
    (tmp_path / "nginx" / "nginx.conf").write_text("ssl_certificate /certs/$ssl_server_name.pem;")
    finding = only(subject)
    assert finding.severity is Severity.NOTE
    assert "cannot be followed" in finding.what


def test_files_of_packages_are_one_note(examined: Examined, tmp_path: Path, outside: Path) -> None:
    subject = examined()
    brought, edited = outside / "brought", outside / "edited"
    brought.write_text("as it came")
    edited.write_text("edited")
    digest = hashlib.md5(b"as it came", usedforsecurity=False).hexdigest()
    (tmp_path / "status").write_text(f"Package: x\nConffiles:\n {brought} {digest}\n {edited} {digest}\n")
    text = f"include {brought};\ninclude /usr/bin/env;\ninclude {edited};\n"
    (tmp_path / "nginx" / "nginx.conf").write_text(text)
    warning, note = found(subject)
    assert (warning.severity, warning.where) == (Severity.WARNING, str(edited))
    assert note.severity is Severity.NOTE
    assert str(brought) in note.what
    assert "/usr/bin/env" in note.what


def test_links_out_of_the_domain(examined: Examined, tmp_path: Path, outside: Path) -> None:
    subject = examined({"tree": ""})
    tree = tmp_path / "tree"
    (outside / "there").touch()
    (tree / "inside").touch()
    (tree / "a").symlink_to(outside / "there")
    (tree / "b").symlink_to(outside / "gone")
    (tree / "c").symlink_to("inside")
    (tree / "d").symlink_to("/proc/self/mounts")
    (tree / "e").symlink_to("e")
    gone, there = found(subject)
    assert (gone.where, gone.what) == (f"{outside}/gone", f"where the link {tree}/b leads, does not exist on this node")
    assert there.where == f"{outside}/there"
    assert there.what.startswith(f"where the link {tree}/a leads, is in no domain")


def test_a_link_on_the_way_must_be_on_failover_too(examined: Examined, tmp_path: Path, outside: Path) -> None:
    subject = examined()
    (tmp_path / "nginx" / "x.pem").touch()
    (outside / "link").symlink_to(tmp_path / "nginx")
    (tmp_path / "nginx" / "nginx.conf").write_text(f"ssl_certificate {outside}/link/x.pem;")
    assert only(subject).where == f"{outside}/link"


def test_a_link_above_a_root_is_each_nodes_own_affair(examined: Examined, tmp_path: Path, outside: Path) -> None:
    subject = examined()
    (outside / "way").symlink_to(tmp_path)
    (tmp_path / "nginx" / "x.pem").touch()
    (tmp_path / "nginx" / "nginx.conf").write_text("ssl_certificate x.pem;")
    file = subject.settings.source
    file.write_text(file.read_text().replace(f'"{tmp_path}/nginx"', f'"{outside}/way/nginx"'))
    settings = load(file)
    assert found(Subject(settings, settings.domains)) == []


def test_on_failover_what_is_there_is_a_note_and_what_is_missing_a_warning(
    examined: Examined, tmp_path: Path, outside: Path
) -> None:
    subject = examined(mode="failover")
    (outside / "there").touch()
    (tmp_path / "nginx" / "nginx.conf").write_text(f"include {outside}/there;\nssl_dhparam {outside}/gone;")
    gone, there = found(subject)
    assert (gone.severity, there.severity) == (Severity.WARNING, Severity.NOTE)
    assert "this node's own is used" in there.what


def test_what_keep_local_keeps_is_this_nodes_own_on_purpose(examined: Examined, tmp_path: Path) -> None:
    subject = examined({"nginx": 'exclude = ["*.key"]\nkeep_local = ["*.key"]'}, mode="failover")
    (tmp_path / "nginx" / "x.key").touch()
    (tmp_path / "nginx" / "nginx.conf").write_text("ssl_certificate_key x.key;")
    assert found(subject) == []


def test_a_domain_without_a_main_file_begins_with_its_parts(examined: Examined, tmp_path: Path, outside: Path) -> None:
    subject = examined({"nginx": ""})
    enabled, available = tmp_path / "nginx" / "sites-enabled", tmp_path / "nginx" / "sites-available"
    for folder in (enabled, available):
        folder.mkdir()
        (folder / "a.conf").write_text(f"ssl_dhparam {outside}/{folder.name};")
    assert [finding.where for finding in found(subject)] == [f"{outside}/sites-enabled"]
    # With a main file, what counts is what that one reads.
    (tmp_path / "nginx" / "nginx.conf").write_text("events {}")
    subject.trees.clear()
    assert found(subject) == []


def test_the_rest_of_many_findings_is_counted(
    examined: Examined, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncer.doctor.outside.FINDINGS_MOST", 2)
    subject = examined()
    (tmp_path / "nginx" / "nginx.conf").write_text("".join(f"include /gone/{number};\n" for number in range(5)))
    assert [finding.what for finding in found(subject)][2:] == ["3 more findings"]


@pytest.mark.needs("nginx")
@pytest.mark.skipif(
    (DEBIAN_NGINX / "sites-enabled").exists() and os.listdir(DEBIAN_NGINX / "sites-enabled") != ["default"],
    reason="the nginx of this machine is configured by somebody",
)
def test_the_distributions_nginx_has_no_warning(examined: Examined, tmp_path: Path) -> None:
    file = examined().settings.source
    file.write_text(file.read_text().replace(f'"{tmp_path}/nginx"', f'"{DEBIAN_NGINX}"'))
    settings = load(file)
    real = Subject(settings, settings.domains)
    assert [finding for finding in found(real) if finding.severity is not Severity.NOTE] == []
    assert real.tree(settings.domains[0]).mains == [("/etc/nginx/nginx.conf", "nginx")]


@pytest.mark.parametrize("kind", ["haproxy", "apache2"])
def test_trees_as_debian_brings_them_have_no_warning(examined: Examined, tmp_path: Path, kind: str) -> None:
    """The lines that name files in Debian's own configurations; the programs need not be installed."""
    subject = examined({kind: ""})
    top = tmp_path / kind
    if kind == "haproxy":
        (top / "errors").mkdir()
        pages = [400, 403, 408, 500, 502, 503, 504]
        for page in pages:
            (top / "errors" / f"{page}.http").touch()
        text = "global\n\tlog /dev/log\tlocal0\n\tchroot /var/lib/haproxy\n\tca-base /etc/ssl/certs\n"
        text += "\tcrt-base /etc/ssl/private\n\tstats socket /run/haproxy/admin.sock mode 660\ndefaults\n"
        (top / "haproxy.cfg").write_text(text + "".join(f"\terrorfile {n} {top}/errors/{n}.http\n" for n in pages))
    else:
        for folder in ("mods-available", "mods-enabled", "sites-available", "sites-enabled"):
            (top / folder).mkdir()
        (top / "mods-available/mime.conf").write_text("<IfModule mod_mime.c>\n\tTypesConfig /usr/bin/env\n</IfModule>")
        (top / "mods-available/ssl.conf").write_text("<IfModule m>\nSSLPassPhraseDialog exec:/usr/share/x\n</IfModule>")
        (top / "mods-available/mime.load").write_text("LoadModule mime_module /usr/lib/apache2/modules/mod_mime.so")
        for name in ("mime.conf", "mime.load", "ssl.conf"):
            (top / "mods-enabled" / name).symlink_to(f"../mods-available/{name}")
        (top / "sites-available/default-ssl.conf").write_text("SSLCertificateFile /etc/ssl/certs/gone.pem")
        (top / "apache2.conf").write_text(
            "DefaultRuntimeDir ${APACHE_RUN_DIR}\nPidFile ${APACHE_PID_FILE}\nErrorLog ${APACHE_LOG_DIR}/error.log\n"
            "IncludeOptional mods-enabled/*.load\nIncludeOptional mods-enabled/*.conf\nInclude ports.conf\n"
            "IncludeOptional conf-enabled/*.conf\nIncludeOptional sites-enabled/*.conf\n"
        )
        (top / "ports.conf").write_text("Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n")
    assert [finding for finding in found(subject) if finding.severity is not Severity.NOTE] == []
    assert os.listdir(top)
