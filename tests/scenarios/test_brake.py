"""More deletions than max_delete, on either side, wait for a person; failover stays as it is until then."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Pair, paired, wait_until

FILES = 60


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with paired(tmp_path, start=False) as pair:
        fill(pair.production.root)
        pair.start()
        pair.wait_synced()
        pair.wait_equal()
        yield pair


def fill(root: Path) -> None:
    for number in range(FILES):
        folder = root / f"d{number % 3}"
        folder.mkdir(exist_ok=True)
        (folder / f"f{number}").write_text(f"content {number}")
    (root / "kept").write_text("stays")


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def files(root: Path) -> int:
    return sum(1 for path in root.rglob("f*") if path.is_file())


def until_suspended(pair: Pair) -> str:
    """Return the reason of the suspension; it also shows in the exit code."""
    wait_until(lambda: pair.production.stream()["state"] == "suspended", 60, "the brake suspended the target")
    pair.production.cli("status", check=4)
    return str(pair.production.stream()["reason"])


def engaged(pair: Pair, least: int = 1) -> int:
    """Return how often a brake has engaged, once it has that often: the suspension shows before it is told."""
    return len(pair.production.told("brake.engaged", least))


def remove_content(root: Path) -> None:
    """Take whole directories at once, each of which is more than may go."""
    for path in root.glob("d*"):
        path.rename(root.parent / path.name)
        shutil.rmtree(root.parent / path.name)


def test_rm_rf_is_held_back_as_a_whole(tmp_path: Path) -> None:
    """The time to settle is longer than `rm -rf` is held up anywhere; else what fits below the limit may pass."""
    with paired(tmp_path, start=False, domain='settle = "2s"\nsettle_max = "20s"\n') as pair:
        fill(pair.production.root)
        pair.start()
        pair.wait_equal()
        before = names(pair.failover.root)
        for path in pair.production.root.glob("d*"):
            shutil.rmtree(path)
        until_suspended(pair)
        assert names(pair.failover.root) == before


def test_guarantee_7_deleted_content_waits_for_a_person_who_approves(pair: Pair) -> None:
    before = names(pair.failover.root)
    remove_content(pair.production.root)
    reason = until_suspended(pair)
    assert f"of {FILES + 4} paths" in reason
    assert "syncer approve dr-a" in reason
    assert engaged(pair) == 1
    assert names(pair.failover.root) == before
    (pair.production.root / "later").write_text("x")
    assert until_suspended(pair)
    pair.production.cli("snapshot", check=4)
    assert names(pair.failover.root) == before
    pair.production.cli("approve", "dr-a", "--yes")
    pair.wait_equal()
    assert names(pair.failover.root) == {"kept", "later"}
    assert engaged(pair) == 1
    # The word was for that deletion: the same files, put back, are guarded as before.
    fill(pair.production.root)
    pair.wait_equal()
    remove_content(pair.production.root)
    until_suspended(pair)
    assert files(pair.failover.root) == FILES
    assert engaged(pair, 2) == 2


@pytest.mark.soak
def test_diff_shows_what_the_brake_holds_back(pair: Pair) -> None:
    remove_content(pair.production.root)
    until_suspended(pair)
    plan = pair.production.json("diff", "dr-a", expected=(3,))["targets"][0]["domains"][0]["plan"]
    assert sum(item["action"] == "delete" for item in plan) == FILES + 3
    assert until_suspended(pair)
    assert files(pair.failover.root) == FILES


@pytest.mark.soak
def test_snapshot_with_yes_does_what_the_brake_asked_for(pair: Pair) -> None:
    remove_content(pair.production.root)
    until_suspended(pair)
    pair.production.cli("snapshot", "--yes")
    assert names(pair.failover.root) == {"kept"}


@pytest.mark.soak
def test_restored_files_go_on_by_themselves(pair: Pair) -> None:
    before = names(pair.failover.root)
    remove_content(pair.production.root)
    until_suspended(pair)
    assert names(pair.failover.root) == before
    fill(pair.production.root)
    pair.wait_equal()
    assert pair.production.stream()["state"] == "streaming"


def test_many_small_deletions_add_up(pair: Pair) -> None:
    """Each one is acknowledged before the next: no single transaction would ever brake."""
    limit = int(0.3 * (FILES + 4))
    for done, path in enumerate(sorted(pair.production.root.glob("d*/f*"))):
        path.unlink()
        if done >= limit:
            break
        pair.wait_equal()
    assert until_suspended(pair)
    assert files(pair.failover.root) == FILES - limit
    assert engaged(pair) == 1


@pytest.mark.soak
def test_more_deletions_after_the_approval_ask_again(pair: Pair) -> None:
    (pair.production.root / "d0").rename(pair.production.root.parent / "d0")
    until_suspended(pair)
    first = pair.production.stream()["approval"]["id"]
    (pair.production.root / "d1").rename(pair.production.root.parent / "d1")
    wait_until(lambda: pair.production.stream()["approval"]["id"] != first, 60, "it asks for more")
    assert files(pair.failover.root) == FILES
    pair.production.cli("approve", "dr-a", "--yes")
    pair.wait_equal()


@pytest.mark.soak
def test_a_renamed_tree_does_not_brake(pair: Pair) -> None:
    for number in range(3):
        (pair.production.root / f"d{number}").rename(pair.production.root / f"e{number}")
    pair.wait_equal()
    assert engaged(pair, 0) == 0


@pytest.mark.soak
def test_temporary_files_do_not_brake(pair: Pair) -> None:
    limit = int(0.3 * (FILES + 4))
    for number in range(2 * limit):
        passing = pair.production.root / f"passing{number}"
        passing.write_text(str(number))
        wait_until((pair.failover.root / passing.name).exists, 60, "it has come")
        passing.unlink()
    pair.wait_equal()
    assert pair.production.stream()["state"] == "streaming"
    assert engaged(pair, 0) == 0


def loosen(pair: Pair) -> None:
    """Let production delete everything unasked; failover keeps its own limit."""
    pair.production.stop()
    text = pair.production.config.read_text()
    root = f'path = "{pair.production.root}"\n'
    pair.production.config.write_text(text.replace(root, f'{root}max_delete = "100%"\n'))
    pair.production.start()
    pair.wait_synced()


def test_failover_brakes_by_its_own_limit(pair: Pair) -> None:
    loosen(pair)
    before = names(pair.failover.root)
    remove_content(pair.production.root)
    reason = until_suspended(pair)
    assert "max_delete on dr-a" in reason
    assert engaged(pair) == 1
    assert names(pair.failover.root) == before
    pair.production.cli("approve", "dr-a", "--yes")
    pair.wait_equal()
    assert names(pair.failover.root) == {"kept"}


@pytest.mark.soak
def test_failovers_brake_lets_go_when_the_files_are_back(pair: Pair) -> None:
    loosen(pair)
    remove_content(pair.production.root)
    until_suspended(pair)
    fill(pair.production.root)
    pair.wait_equal()
    wait_until(lambda: pair.production.stream()["state"] == "streaming", 60, "it streams again")


@pytest.mark.soak
def test_failovers_brake_adds_up_across_restarts(pair: Pair) -> None:
    loosen(pair)
    limit = int(0.3 * (FILES + 4))
    paths = sorted(pair.production.root.glob("d*/f*"))
    for path in paths[:limit]:
        path.unlink()
    pair.wait_equal()
    pair.failover.kill()
    pair.failover.start()
    paths[limit].unlink()
    assert "max_delete on dr-a" in until_suspended(pair)
    assert paths[limit].name in {path.name for path in pair.failover.root.rglob("f*")}
    pair.production.cli("snapshot", "--yes")
    pair.wait_equal()


def test_a_full_synchronization_brakes_too(pair: Pair) -> None:
    """The index is gone, so production cannot know what failover holds; failover does."""
    before = names(pair.failover.root)
    pair.production.stop()
    remove_content(pair.production.root)
    for file in pair.production.state.glob("index.db*"):
        file.unlink()
    pair.production.start()
    assert "max_delete on dr-a" in until_suspended(pair)
    assert names(pair.failover.root) == before
    pair.production.cli("approve", "dr-a", "--yes")
    pair.wait_equal()


@pytest.mark.parametrize("what", ["a file", "a symlink"])
def test_a_root_of_another_kind_suspends(pair: Pair, tmp_path: Path, what: str) -> None:
    before = names(pair.failover.root)
    root = pair.production.root
    root.rename(tmp_path / "away")
    other = tmp_path / "other"
    other.mkdir()
    (other / "foreign").write_text("x")
    make: dict[str, Callable[[], object]] = {
        "a file": lambda: root.write_text("x"),
        "a symlink": lambda: root.symlink_to(other),
    }
    make[what]()
    until_suspended(pair)
    assert names(pair.failover.root) == before
    root.unlink()
    (tmp_path / "away").rename(root)
    (root / "late").write_text("x")
    pair.wait_equal()
    assert names(pair.failover.root) == {*before, "late"}
