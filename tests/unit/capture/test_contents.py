"""The memory of small contents, and the names of owners."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import pytest

from syncer.capture import owners as owners_module
from syncer.capture.contents import LARGEST_CONTENT, ContentCache
from syncer.capture.owners import Owners


def test_the_least_recently_used_goes_first() -> None:
    cache = ContentCache(10)
    cache.put(b"1", b"aaaa")
    cache.put(b"2", b"bbbb")
    assert cache.get(b"1") == b"aaaa"
    cache.put(b"3", b"cccc")
    assert cache.get(b"2") is None
    assert (cache.get(b"1"), cache.get(b"3")) == (b"aaaa", b"cccc")


def test_putting_twice_counts_once() -> None:
    cache = ContentCache(10)
    for _ in range(5):
        cache.put(b"1", b"aaaa")
    cache.put(b"2", b"bbbb")
    assert cache.get(b"1") == b"aaaa"


def test_what_is_too_large_is_not_kept() -> None:
    cache = ContentCache(10 * LARGEST_CONTENT)
    cache.put(b"1", bytes(LARGEST_CONTENT + 1))
    cache.put(b"2", bytes(LARGEST_CONTENT))
    assert cache.get(b"1") is None
    assert cache.get(b"2") is not None
    small = ContentCache(10)
    small.put(b"3", b"x" * 11)
    assert small.get(b"3") is None


def test_owners_have_names_where_the_system_knows_them() -> None:
    owners = Owners()
    assert owners.users[os.getuid()] == pwd.getpwuid(os.getuid()).pw_name
    assert owners.groups[os.getgid()] == grp.getgrgid(os.getgid()).gr_name
    assert owners.users[4_000_000_001] == ""
    assert owners.groups[4_000_000_001] == ""


def test_names_are_forgotten_when_the_files_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passwd = tmp_path / "passwd"
    owners = Owners((passwd, tmp_path / "missing"))
    owners.users[7] = "stale"
    owners.refresh()
    assert owners.users[7] == "stale"
    passwd.write_text("changed")
    owners.refresh()
    assert owners.users[7] == "stale", "it looks once a second"
    monkeypatch.setattr(owners_module, "CHECK_SECONDS", 0.0)
    owners.refresh()
    assert 7 not in owners.users
