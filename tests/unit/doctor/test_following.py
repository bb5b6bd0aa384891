"""Following includes over real files: wildcards, circles, what relative paths start from, and every bound."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from syncer.doctor import expansion, following
from syncer.doctor.coverage import LINKS_MOST, trail
from syncer.doctor.expansion import TooManyError, expand
from syncer.doctor.following import Follower, Met, Standing, bases_of

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def place(name: str, text: str = "") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return place


def follow(main: Path, kind: str = "nginx") -> list[Met]:
    return list(Follower(bases_of(str(main), kind)).follow(str(main), kind))


def short(met: list[Met], top: Path) -> list[tuple[str, str]]:
    return [(os.path.relpath(item.path, top), item.standing.value) for item in met]


def test_includes_are_followed_in_order_and_relative_to_nginx_conf(tmp_path: Path, write: Write) -> None:
    main = write("nginx/nginx.conf", "include conf.d/*.conf;\nssl_dhparam dh.pem;\n")
    write("nginx/conf.d/b.conf", "ssl_certificate ../b.pem;")
    write("nginx/conf.d/a.conf", "include snippets/s;")
    write("nginx/conf.d/.hidden.conf", "include /hidden;")
    write("nginx/snippets/s", "ssl_certificate_key s.key;")
    write("nginx/s.key")
    assert short(follow(main), tmp_path / "nginx") == [
        ("conf.d/a.conf", "there"),
        ("conf.d/b.conf", "there"),
        ("dh.pem", "missing"),
        ("snippets/s", "there"),
        ("s.key", "there"),
        ("../b.pem", "missing"),
    ]


def test_a_circle_of_includes_ends_and_each_file_is_read_once(write: Write) -> None:
    main = write("nginx.conf", "include a; include a; include nginx.conf;")
    write("a", "include nginx.conf; ssl_dhparam /x;")
    found = follow(main)
    assert [met.path for met in found if met.reference.directive == "ssl_dhparam"] == ["/x"]
    assert len(found) == 5


def test_includes_without_end_are_cut(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    main = write("nginx.conf", "include 0;")
    for number in range(following.DEPTH_MOST + 5):
        write(str(number), f"include {number + 1};")
    follower = Follower(bases_of(str(main), "nginx"))
    met = list(follower.follow(str(main), "nginx"))
    assert follower.is_cut == f"{following.DEPTH_MOST} includes deep"
    assert len(met) == following.DEPTH_MOST + 1
    monkeypatch.setattr(following, "FILES_MOST", 3)
    follower = Follower(bases_of(str(main), "nginx"))
    assert len(list(follower.follow(str(main), "nginx"))) == 3
    assert follower.is_cut == "after 3 files"
    monkeypatch.setattr(following, "REFERENCES_MOST", 2)
    follower = Follower(bases_of(str(main), "nginx"))
    assert len(list(follower.follow(str(main), "nginx"))) == 2
    assert follower.is_cut == "after 2 references"


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path, write: Write) -> None:
    os.mkfifo(tmp_path / "fifo")
    main = write("nginx.conf", "include fifo;")
    assert [met.standing for met in follow(main)] == [Standing.THERE, Standing.UNREADABLE]


def test_variables_are_named_and_not_followed(write: Write) -> None:
    [met] = follow(write("nginx.conf", "ssl_certificate /c/$host.pem;"))
    assert (met.path, met.standing) == ("/c/$host.pem", Standing.DYNAMIC)


def test_apache_reads_directories_definitions_and_its_root(tmp_path: Path, write: Write) -> None:
    text = (
        f"Define HERE {tmp_path}\nInclude sites\nInclude ${{HERE}}/x.conf\nInclude ${{OTHER}}/y\nInclude none/*.conf\n"
    )
    main = write("conf/httpd.conf", text)
    write("sites/a", "SSLCertificateFile a.pem")
    write("sites/below/b", "ServerRoot /srv\nAuthUserFile users")
    found = follow(main, "apache")
    assert [(met.path.replace(str(tmp_path), ""), met.standing.value) for met in found] == [
        ("/sites", "there"),
        ("/x.conf", "missing"),
        ("${OTHER}/y", "dynamic"),
        ("/none/*.conf", "missing"),
        ("/a.pem", "missing"),
        ("/srv/users", "missing"),
    ]


def test_haproxy_resolves_against_its_bases(tmp_path: Path, write: Write) -> None:
    write("certificates/list", "a.pem\n")
    text = f"crt-base {tmp_path}/certificates\nbind :1 crt b.pem crt-list {tmp_path}/certificates/list ca-file ca.pem\n"
    found = follow(write("haproxy.cfg", text), "haproxy")
    assert [met.path.replace(str(tmp_path), "") for met in found] == [
        "/certificates/b.pem",
        "/certificates/list",
        "/ca.pem",
        "/certificates/a.pem",
    ]
    [met] = follow(write("other.cfg", "default-path config\nlua-load x.lua\n"), "haproxy")
    assert met.path == str(tmp_path / "x.lua")


def test_parts_of_a_configuration_start_from_where_its_main_file_lies(tmp_path: Path, write: Write) -> None:
    part = write("web/nginx/sites-enabled/a", "ssl_certificate a.pem;")
    assert bases_of(str(part), "nginx") == {"nginx prefix": str(tmp_path / "web/nginx")}
    write("web/nginx.conf")
    assert bases_of(str(part), "nginx") == {"nginx prefix": str(tmp_path / "web")}


def test_wildcards_are_bounded(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/x1", "a/x2", "b/x3", "b/y"):
        write(name)
    assert expand(f"{tmp_path}/*/x[12]") == [f"{tmp_path}/a/x1", f"{tmp_path}/a/x2"]
    assert expand(f"{tmp_path}/a") == [f"{tmp_path}/a"]
    assert expand(f"{tmp_path}/a/x1/*") == []
    monkeypatch.setattr(expansion, "NAMES_MOST", 5)
    with pytest.raises(TooManyError):
        expand(f"{tmp_path}/*/*")
    met = follow(write("nginx.conf", "include */*;"))
    assert [item.standing for item in met] == [Standing.ENDLESS]


def test_every_link_on_the_way_is_a_step(tmp_path: Path, write: Write) -> None:
    write("real/file")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to(tmp_path / "real")
    top = os.path.realpath(tmp_path)
    assert list(trail(f"{top}/one/file")) == [f"{top}/one", f"{top}/two", f"{top}/real/file"]
    (tmp_path / "circle").symlink_to("circle")
    assert len(list(trail(f"{top}/circle"))) == LINKS_MOST + 1
    assert list(trail(f"{top}/gone/x")) == [f"{top}/gone/x"]
