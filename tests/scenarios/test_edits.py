"""Two real agents keep a copy of this machine's /etc equal through everything operators and programs do to files."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import Pair, paired

REWRITE_SECONDS = 20.0 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 2.0
MKDIRS = 500


def copy_of_etc(root: Path) -> None:
    """Fill `root` with what of /etc can be read and is neither a socket nor a device."""

    def unreadable(folder: str, names: list[str]) -> list[str]:
        paths = [os.path.join(folder, name) for name in names]
        return [
            os.path.basename(path)
            for path in paths
            if not os.path.islink(path)
            and not (os.access(path, os.R_OK) and (os.path.isfile(path) or os.path.isdir(path)))
        ]

    shutil.copytree("/etc", root, symlinks=True, ignore=unreadable, dirs_exist_ok=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with paired(tmp_path_factory.mktemp("etc"), start=False) as pair:
        copy_of_etc(pair.production.root)
        pair.start()
        pair.wait_equal()
        yield pair


@pytest.fixture
def root(pair: Pair) -> Iterator[Path]:
    """A folder for one test within the synchronized copy of /etc; afterwards both trees must be equal."""
    folder = pair.production.root / "work"
    folder.mkdir()
    yield folder
    pair.wait_equal()
    found = pair.production.status()
    assert found["targets"][0]["domains"][0]["echoes"] == 0
    shutil.rmtree(folder)
    pair.wait_equal()
    compare_with_rsync(pair)


def compare_with_rsync(pair: Pair) -> None:
    if shutil.which("rsync") is None:
        return
    found = subprocess.run(
        ["rsync", "-aicn", "--delete", f"{pair.production.root}/", f"{pair.failover.root}/"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == ""


def test_editors_save_by_rename(pair: Pair, root: Path) -> None:
    file = root / "nginx.conf"
    for number in range(50):
        temporary = root / f".nginx.conf.{number}.swp"
        temporary.write_text(f"worker_processes {number};\n")
        os.replace(temporary, file)
        backup = root / "nginx.conf~"
        with contextlib.suppress(FileNotFoundError):
            backup.unlink()
        os.link(file, backup)
        backup.unlink()


@pytest.mark.soak
def test_sed_in_place(pair: Pair, root: Path) -> None:
    file = root / "hosts"
    file.write_text("10.0.0.1 one\n")
    for number in range(2, 30):
        subprocess.run(["sed", "-i", f"s/10.0.0.{number - 1}/10.0.0.{number}/", str(file)], check=True)


@pytest.mark.soak
def test_git_clone_and_branch_switches(pair: Pair, root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-C"]
    source.mkdir()
    subprocess.run([*git, str(source), "init", "-q", "-b", "main"], check=True)
    for number in range(2000):
        file = source / f"d{number // 50}" / f"f{number}.conf"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{number}\n" * 20)
    subprocess.run([*git, str(source), "add", "."], check=True)
    subprocess.run([*git, str(source), "commit", "-qm", "one"], check=True)
    subprocess.run([*git, str(source), "checkout", "-qb", "other"], check=True)
    for number in range(0, 2000, 3):
        (source / f"d{number // 50}" / f"f{number}.conf").write_text("other\n")
    shutil.rmtree(source / "d7")
    subprocess.run([*git, str(source), "add", "-A"], check=True)
    subprocess.run([*git, str(source), "commit", "-qm", "two"], check=True)
    clone = root / "clone"
    subprocess.run(["git", "clone", "-q", str(source), str(clone)], check=True)
    for branch in ("main", "other", "main"):
        subprocess.run([*git, str(clone), "checkout", "-q", branch], check=True)
    pair.wait_equal(40.0)


def test_directories_made_and_filled_at_once(pair: Pair, root: Path) -> None:
    for number in range(MKDIRS):
        folder = root / f"a{number}" / "b" / "c"
        folder.mkdir(parents=True)
        (folder / "file").write_text(str(number))


def test_directories_renamed(pair: Pair, root: Path) -> None:
    for number in range(100):
        (root / "sites" / f"d{number % 10}").mkdir(parents=True, exist_ok=True)
        (root / "sites" / f"d{number % 10}" / f"f{number}").write_text(str(number))
    pair.wait_equal()
    (root / "sites").rename(root / "places")
    (root / "places" / "d3" / "late").write_text("written under the new name at once")
    (root / "places" / "d4").rename(root / "d4")
    (root / "d4" / "f4").write_text("and here")
    (root / "places" / "d5").rename(root / "places" / "d6" / "d5")


def test_a_file_becomes_a_directory_and_back(pair: Pair, root: Path) -> None:
    path = root / "swap"
    for number in range(20):
        path.write_text(str(number))
        if number % 5 == 0:
            pair.wait_equal()
        path.unlink()
        path.mkdir()
        (path / "inside").write_text(str(number))
        if number % 5 == 1:
            pair.wait_equal()
        shutil.rmtree(path)
    path.symlink_to("nowhere")


@pytest.mark.soak
def test_symlinks_swap(pair: Pair, root: Path) -> None:
    link = root / "current"
    for number in range(100):
        new = root / "current.new"
        new.symlink_to(f"release-{number % 7}")
        new.replace(link)


@pytest.mark.soak
def test_modes_and_owners(pair: Pair, root: Path) -> None:
    file, folder = root / "file", root / "folder"
    file.write_text("x")
    folder.mkdir()
    for mode in (0o600, 0o4755, 0o2755, 0o644, 0o000, 0o777):
        file.chmod(mode)
        folder.chmod(mode | 0o700)
        pair.wait_equal()
    if os.geteuid() == 0:
        for uid, gid in ((1, 1), (0, 12), (12345, 54321)):
            os.chown(file, uid, gid)
            os.chown(folder, uid, gid)
            file.chmod(0o4755)
            pair.wait_equal()


@pytest.mark.soak
def test_deletes(pair: Pair, root: Path) -> None:
    for number in range(300):
        folder = root / f"d{number % 20}" / "sub"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / str(number)).write_text("x")
    pair.wait_equal()
    for number in range(0, 20, 2):
        shutil.rmtree(root / f"d{number}")
    (root / "d1" / "sub" / "1").unlink()


def test_random_rewrites(pair: Pair, root: Path) -> None:
    chance = random.Random(7)
    files = [root / f"f{number}" for number in range(40)]
    end = time.monotonic() + REWRITE_SECONDS
    number = 0
    while time.monotonic() < end:
        number += 1
        chance.choice(files).write_bytes(chance.randbytes(chance.choice((0, 10, 1000, 70_000))))
        pause = 1 / 200
        time.sleep(pause)


@pytest.mark.soak
def test_two_edits_of_one_size_within_a_moment_and_an_mtime_put_back(pair: Pair, root: Path) -> None:
    file = root / "same-size"
    for number in range(50):
        file.write_text(f"{number:04}")
        file.write_text(f"{number + 5000:04}")
        pair.wait_equal()
    moment = file.stat().st_mtime_ns
    file.write_text("9999")
    os.utime(file, ns=(moment, moment))
    pair.wait_equal()
    assert (pair.failover.root / "work" / "same-size").read_text() == "9999"


def test_odd_names_and_sizes(pair: Pair, root: Path) -> None:
    where = os.fsencode(root)
    for name in (b"\xff\xfe", b"new\nline", b" space ", b"-rf", b"*", b"x" * 255, "ü".encode("latin-1")):
        Path(os.fsdecode(where + b"/" + name)).write_bytes(name)
    (root / "empty").touch()
    (root / "large").write_bytes(random.Random(3).randbytes(5_000_000))
    with (root / "sparse").open("wb") as file:
        file.truncate(3_000_000)


def test_hard_links_change_together(pair: Pair, root: Path) -> None:
    (root / "one").write_text("first")
    os.link(root / "one", root / "two")
    pair.wait_equal()
    with (root / "one").open("r+") as file:
        file.write("SECOND")
    pair.wait_equal()
    assert (pair.failover.root / "work" / "two").read_text() == "SECOND"


def test_a_renamed_folder_costs_no_content(pair: Pair, root: Path) -> None:
    folder = root / "many"
    folder.mkdir()
    for number in range(1000):
        (folder / f"f{number}").write_bytes(b"%d" % number * 500)
    pair.wait_equal()
    inode = (pair.failover.root / "work" / "many" / "f7").stat().st_ino
    folder.rename(root / "renamed")
    pair.wait_equal()
    assert (pair.failover.root / "work" / "renamed" / "f7").stat().st_ino == inode
