"""Which paths belong to a domain."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.capture.ignore import Scope, pattern_hash
from syncer.errors import ConfigurationError
from syncer.model import Patterns


def scope(
    include: tuple[str, ...] = ("**",), exclude: tuple[str, ...] = (), protected: tuple[bytes, ...] = ()
) -> Scope:
    return Scope(Patterns(include, exclude), protected)


def test_everything_is_wanted_by_default() -> None:
    all_of_it = scope()
    assert all_of_it.everything
    assert all_of_it.wants(b"", is_directory=True)
    assert all_of_it.wants(b"a/b\xff", is_directory=False)
    assert all_of_it.may_descend(b"a")


@pytest.mark.parametrize(
    ("exclude", "path", "is_directory", "wanted"),
    [
        ("*.swp", b"a/.x.swp", False, False),
        ("*.swp", b"a/swp", False, True),
        ("*~", b"\xff~", False, False),
        ("/cache/**", b"cache", True, True),
        ("/cache/**", b"cache/x", False, False),
        ("/cache/**", b"cache/x/y", False, False),
        ("/cache/**", b"a/cache/x", False, True),
        ("cache/", b"a/cache", True, False),
        ("cache/", b"a/cache", False, True),
        ("cache/", b"a/cache/x", False, False),
        ("a/*.conf", b"a/x.conf", False, False),
        ("a/*.conf", b"b/a/x.conf", False, True),
        ("**/tmp", b"a/b/tmp", False, False),
        ("*.swp", b"with\nnewline/x.swp", False, False),
        ("# comment", b"# comment", False, True),
        ("**", b"a", False, False),
    ],
)
def test_exclude_patterns(exclude: str, path: bytes, is_directory: bool, wanted: bool) -> None:
    assert scope(exclude=(exclude,)).wants(path, is_directory) is wanted


def test_exclude_wins_over_include() -> None:
    both = scope(("*.conf",), ("secret*",))
    assert both.wants(b"a/x.conf", is_directory=False)
    assert not both.wants(b"a/secret.conf", is_directory=False)


def test_a_negated_pattern_brings_back_but_not_from_below_an_excluded_directory() -> None:
    some = scope(exclude=("/cache/**", "!/cache/keep", "/gone/", "!/gone/keep"))
    assert some.wants(b"cache/keep", is_directory=False)
    assert not some.wants(b"cache/x", is_directory=False)
    assert not some.wants(b"gone/keep", is_directory=False)
    assert some.may_descend(b"cache")
    assert not some.may_descend(b"gone")


def test_parents_of_included_files_are_walked_through() -> None:
    some = scope(("nginx/conf.d/*.conf", "/ssl/**"))
    assert some.wants(b"nginx/conf.d/a.conf", is_directory=False)
    assert not some.wants(b"nginx/conf.d", is_directory=True)
    assert all(some.may_descend(path) for path in (b"", b"nginx", b"nginx/conf.d", b"nginx/conf.d/x", b"ssl"))
    assert not some.may_descend(b"apache2")
    assert not some.may_descend(b"nginx/other")
    assert scope(("*.conf",)).may_descend(b"anything/at/all")


def test_a_negated_include_leaves_out() -> None:
    some = scope(("**", "!private/"))
    assert not some.everything
    assert some.wants(b"a", is_directory=False)
    assert not some.wants(b"private/key", is_directory=False)


def test_syncers_own_files_are_never_wanted() -> None:
    some = scope(("**", ".syncer"), (), (b"syncer", b"lib/state"))
    for path in (b"syncer", b"syncer/key.pem", b"lib/state/node.db", b".syncer", b"a/.syncer/b"):
        assert some.is_protected(path), path
        assert not some.wants(path, is_directory=False), path
        assert not some.may_descend(path), path
    for path in (b"syncer2", b"lib", b"a.syncer", b".syncer-notes"):
        assert not some.is_protected(path), path


def test_explanations_name_the_pattern() -> None:
    some = scope(("*.conf", "!x.conf"), ("*.bak.conf",), (b"own",))
    assert "'*.bak.conf'" in some.explain(b"a.bak.conf", is_directory=False)
    assert "'*.conf' matches" in some.explain(b"a.conf", is_directory=False)
    assert "'!x.conf' leaves it out" in some.explain(b"x.conf", is_directory=False)
    assert "comes along" in some.explain(b"dir", is_directory=True)
    assert "syncer's own" in some.explain(b"own/x", is_directory=False)
    assert "everything" in scope().explain(b"a", is_directory=False)


def test_a_pattern_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is not a gitignore pattern"):
        scope(exclude=("!",))


def test_hashes_differ_where_patterns_do() -> None:
    variants = [
        Patterns(),
        Patterns(("**",), ("a",)),
        Patterns(("**", "a"), ()),
        Patterns(("**",), ("a", "b")),
        Patterns(("**",), ("b", "a")),
        Patterns(("**",), ("a:b",)),
        Patterns(("*", "*"), ()),
    ]
    assert len({pattern_hash(patterns) for patterns in variants}) == len(variants)
    assert pattern_hash(Patterns()) == pattern_hash(Patterns(("**",), ()))


NAMES = st.sampled_from(["a", "b", "ab", "a.b", "x.swp"])
LINES = st.lists(
    st.builds(
        lambda bang, slash, parts, tail: bang + slash + "/".join(parts) + tail,
        st.sampled_from(["", "", "!"]),
        st.sampled_from(["", "/"]),
        st.lists(st.sampled_from(["a", "b", "*", "**", "a*", "*.swp", "?", "[ab]"]), min_size=1, max_size=3),
        st.sampled_from(["", "", "/", "/**"]),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.needs("git")
@settings(max_examples=60)
@given(lines=LINES, paths=st.lists(st.lists(NAMES, min_size=1, max_size=3), min_size=1, max_size=8))
def test_excludes_are_git_s(tmp_path_factory: pytest.TempPathFactory, lines: list[str], paths: list[list[str]]) -> None:
    """Git itself decides about paths that do not exist: a name without a trailing slash is a file."""
    repository = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", repository], check=True)
    (repository / ".gitignore").write_text("".join(f"{line}\n" for line in lines))
    asked = sorted({"/".join(parts) for parts in paths})
    answer = subprocess.run(
        ["git", "-C", repository, "check-ignore", "--no-index", "--stdin"],
        input="\n".join(asked),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
    )
    ignored = set(answer.stdout.splitlines())
    some = scope(exclude=tuple(lines))
    assert {path for path in asked if not some.wants(path.encode(), is_directory=False)} == ignored, lines
    assert Path(repository).is_dir()
