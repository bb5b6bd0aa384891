"""What the brake counts as lost, and when it engages; both ends use these rules."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncer.config.settings import BrakeSettings
from syncer.model import Entry, Kind
from syncer.replicate.brake import ARRIVALS_KEPT, PREFIX, Trace, Window, approval_id, brake_sentence, engages, trace_of

SETTINGS = BrakeSettings(most=0.30, minimum=20, window=600.0)


def file(path: str, content: str = "") -> Trace:
    return Trace(path.encode(), Kind.FILE, (content or path).encode())


def folder(path: str) -> Trace:
    return Trace(path.encode(), Kind.DIRECTORY, b"")


def lost(window: Window) -> set[bytes]:
    return set(window.lost)


@pytest.mark.parametrize(
    ("deletions", "paths", "most", "minimum", "limit"),
    [
        (30, 100, 0.30, 20, None),
        (31, 100, 0.30, 20, 30),
        (19, 20, 0.30, 20, None),
        (20, 20, 0.30, 20, 6),
        (100, 100, 1.0, 0, None),
        (1, 100, 0.0, 0, 0),
        (1, 100, 0.0, 2, None),
        (6, 1000, 5, 0, 5),
        (5, 1000, 5, 0, None),
        (1, 1000, 0, 0, 0),
        (0, 0, 0.30, 0, None),
    ],
)
def test_it_engages_beyond_the_limit_and_not_below_the_minimum(
    deletions: int, paths: int, most: float, minimum: int, limit: int | None
) -> None:
    found = engages(deletions, paths, BrakeSettings(most, minimum, 600.0))
    assert (found.limit if found else None) == limit
    if found:
        assert (found.deletions, found.paths) == (deletions, paths)


def test_a_rename_is_no_loss_in_one_transaction_or_in_two_in_either_order() -> None:
    for steps in (
        [([file("a", "x")], [file("b", "x")])],
        [([file("a", "x")], []), ([], [file("b", "x")])],
        [([], [file("b", "x")]), ([file("a", "x")], [])],
    ):
        window = Window()
        for at, (deleted, created) in enumerate(steps):
            window.note(deleted, created, float(at))
        assert not window.lost


def test_one_copy_makes_up_for_one_deletion_only() -> None:
    window = Window()
    window.note([file(f"a{n}", "same") for n in range(10)], [file("b", "same")], 0.0)
    assert len(window.lost) == 9


def test_content_that_overwrites_another_file_makes_up_for_nothing() -> None:
    """Else emptying all files would let half of them be deleted."""
    window = Window()
    window.note([file("a", "x")], (), 0.0)
    assert lost(window) == {b"a"}


def test_directories_count_net_and_links_by_their_target() -> None:
    window = Window()
    link = Trace(b"l", Kind.SYMLINK, b"there")
    window.note([folder("a"), folder("b"), link], [folder("c"), link._replace(path=b"m")], 0.0)
    assert len(window.lost) == 1
    assert lost(window) <= {b"a", b"b"}


def test_what_could_not_be_read_is_never_a_rename() -> None:
    window = Window()
    window.note([Trace(b"a", Kind.UNKNOWN, b"")], [Trace(b"b", Kind.UNKNOWN, b"")], 0.0)
    assert lost(window) == {b"a"}


def test_what_comes_and_goes_within_the_window_is_no_loss() -> None:
    window = Window()
    for at in range(1000):
        window.note((), [file(f"passing{at}")], float(at))
        window.note([file(f"passing{at}")], (), float(at))
    assert not window.lost


def test_what_was_moved_and_then_deleted_is_lost() -> None:
    window = Window()
    window.note([file("a", "x")], [file("b", "x")], 0.0)
    window.note([file("b", "x")], (), 1.0)
    assert lost(window) == {b"a"}


def test_what_is_back_is_no_loss_even_with_other_content_until_it_goes_again() -> None:
    window = Window()
    window.note([file("a", "x")], (), 0.0)
    window.note((), [file("a", "y")], 1.0)
    assert not window.lost
    window.note([file("a", "y")], (), 2.0)
    assert lost(window) == {b"a"}


def test_what_stood_at_a_path_before_others_is_what_counts_when_they_go() -> None:
    window = Window()
    window.note([file("a", "x")], [file("a", "y")], 0.0)
    assert not window.lost
    window.note([file("a", "y")], (), 1.0)
    # A copy of what stood there in between makes up for nothing.
    window.note((), [file("b", "y")], 2.0)
    assert lost(window) == {b"a"}
    window.note((), [file("c", "x")], 3.0)
    assert not window.lost


def test_another_file_where_a_moved_one_went_does_not_bring_it_back() -> None:
    window = Window()
    window.note([file("a", "x")], [file("b", "x")], 0.0)
    window.note([file("b", "x")], (), 1.0)
    window.note((), [file("b", "y")], 2.0)
    assert lost(window) == {b"a"}
    window.note((), [file("a", "z")], 3.0)
    assert not window.lost
    window.note([file("a", "z")], (), 4.0)
    assert lost(window) == {b"a"}


def test_losses_and_arrivals_older_than_the_window_are_forgotten() -> None:
    window = Window([(file("old"), 1.0), (file("young"), 9.0)])
    window.note((), [file("came", "x")], 2.0)
    window.expire(5.0)
    assert lost(window) == {b"young"}
    window.note([file("came", "x")], (), 10.0)
    assert lost(window) == {b"young", b"came"}


def test_the_memory_of_arrivals_is_bounded() -> None:
    window = Window()
    window.note((), [file(f"n{n}") for n in range(ARRIVALS_KEPT + 10)], 0.0)
    window.expire(0.0)
    window.note([file(f"n{n}") for n in range(ARRIVALS_KEPT + 10)], (), 1.0)
    assert len(window.lost) == 10


def test_trying_changes_nothing() -> None:
    window = Window([(file("a"), 0.0)])
    trial = window.copy()
    trial.note([file("b")], [file("c", "a")], 1.0)
    assert lost(window) == {b"a"}


def test_an_approval_fits_exactly_one_set_of_paths() -> None:
    assert approval_id([b"a", b"b"]) == approval_id([b"b", b"a"])
    assert len({approval_id([b"a", b"b"]), approval_id([b"ab"]), approval_id([b"a"]), approval_id([b"a"], "x")}) == 4
    assert approval_id([]).startswith(PREFIX)


def test_the_sentence_says_how_many_of_how_many_where_and_the_cure() -> None:
    braking = engages(40, 100, SETTINGS)
    assert braking is not None
    said = brake_sentence(braking, [b"a", b"b\xff", b"c", b"d"], "nginx", "dr-a", "production")
    for part in ("40 of 100", "nginx", "dr-a", "such as a, b", "30", "`syncer diff dr-a`", "`syncer approve dr-a`"):
        assert part in said


def test_a_trace_keeps_what_a_rename_keeps() -> None:
    entry = Entry(b"p", Kind.FILE, 0o644, 1, 1, "", "", 5, 3, b"d" * 32, b"")
    assert trace_of(entry) == trace_of(entry._replace(mode=0o600, mtime_ns=9))
    assert trace_of(entry._replace(kind=Kind.SYMLINK, digest=b"", link_target=b"t")).content == b"t"


contents = st.sampled_from(["x", "y", "z"])


@given(st.dictionaries(st.integers(0, 60), contents, min_size=1), st.randoms(use_true_random=False), st.data())
def test_a_permutation_of_renames_never_loses_anything(
    tree: dict[int, str], random: object, data: st.DataObject
) -> None:
    """However the two halves of each rename are spread over transactions."""
    deleted = [(False, file(f"old{n}", content)) for n, content in tree.items()]
    created = [(True, file(f"new{n}", content)) for n, content in tree.items()]
    steps = data.draw(st.permutations([*deleted, *created]))
    window = Window()
    while steps:
        size = data.draw(st.integers(1, len(steps)))
        group, steps = steps[:size], steps[size:]
        window.note([t for new, t in group if not new], [t for new, t in group if new], 0.0)
    assert not window.lost


@given(st.integers(1, 300), st.lists(st.integers(1, 50)), st.sampled_from([0.0, 0.1, 0.3, 0.99, 3, 50]))
def test_splitting_a_removal_into_groups_never_lets_more_than_the_limit_pass(
    paths: int, groups: list[int], most: float
) -> None:
    settings = BrakeSettings(most, 0, 600.0)
    window, passed = Window(), 0
    for at, size in enumerate([*groups, paths]):
        end = min(passed + size, paths)
        trial = window.copy()
        trial.note([file(f"f{n}") for n in range(passed, end)], (), float(at))
        # Each side knows the tree as it is before the group, and what went before.
        if engages(len(trial.lost), paths - passed + len(window.lost), settings):
            continue
        window, passed = trial, end
    limit = int(settings.most * paths) if isinstance(settings.most, float) else settings.most
    assert passed <= limit


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8), contents), max_size=60))
@example([(False, 2, "x"), (True, 2, "x"), (False, 2, "x"), (True, 5, "x")])
@example([(False, 2, "y"), (True, 5, "y"), (False, 5, "y"), (True, 5, "z")])
def test_the_count_is_never_less_than_the_paths_whose_content_is_gone(steps: list[tuple[bool, int, str]]) -> None:
    """Against a model: contents of the beginning that are nowhere any more, and whose path is empty."""
    beginning = {f"p{n}": content for n, content in enumerate(["x", "x", "y", "z", "x"])}
    tree, window = dict(beginning), Window()
    for at, (create, number, content) in enumerate(steps):
        path = f"p{number}"
        if create and path not in tree:
            tree[path] = content
            window.note((), [file(path, content)], float(at))
        elif not create and path in tree:
            window.note([file(path, tree.pop(path))], (), float(at))
    gone = [path for path, content in beginning.items() if path not in tree and content not in tree.values()]
    assert len(window.lost) >= len({beginning[path] for path in gone})


def test_what_was_let_pass_and_comes_back_is_lost_when_it_goes_again() -> None:
    window = Window(passed=[b"p1", b"p2"])
    window.note((), [file("p1", "x"), file("new", "y")], 1.0)
    window.note([file("p1", "x"), file("new", "y")], (), 2.0)
    assert list(window.lost) == [b"p1"]
