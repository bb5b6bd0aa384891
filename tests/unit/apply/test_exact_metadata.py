"""Attributes, access lists, holes and names of one file on the receiving side, and where they cannot be held."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3

from syncer import access_list, attributes
from syncer.access_list import GROUP, USER, AccessEntry
from syncer.apply.applier import Applied, Applier
from syncer.apply.attributes import without_access_list
from syncer.apply.owners import Owners, same_here
from syncer.apply.sparse import write_sparse
from syncer.errors import ApplyError
from syncer.files import Disk, has_labels
from syncer.model import Change, Entry, Kind
from tests.unit.apply.trees import OPENING, MemoryBase, MemoryJournal, WholeReach

NOBODY = 0xFFFFFFFF
COMMENT = attributes.encode({b"user.comment": b"kept"})
LIST = [
    AccessEntry(0x01, 6, NOBODY),
    AccessEntry(USER, 7, 4242),
    AccessEntry(0x04, 0, NOBODY),
    AccessEntry(0x10, 7, NOBODY),
    AccessEntry(0x20, 0, NOBODY),
]
ACCESS = attributes.encode({attributes.ACCESS_LISTS[0]: access_list.encode(LIST)})


def entry(path: bytes, data: bytes = b"data", encoded: bytes = b"", link: int = 0, mode: int = 0o640) -> Entry:
    digest = blake3(data).digest()
    owner = (os.geteuid(), os.getegid(), "", "")
    return Entry(path, Kind.FILE, mode, *owner, 10**18, len(data), digest, b"", "", encoded, link)


class Node:
    """A root with its base, as a receiver has them."""

    def __init__(self, where: Path, disk: Disk | None = None, owners: Owners | None = None) -> None:
        self.root = where / "root"
        self.root.mkdir(exist_ok=True)
        self.base = MemoryBase()
        self.applier = Applier(
            "d", self.root, "0123456789", self.base, disk or Disk(), owners or Owners(), MemoryJournal()
        )

    def apply(self, *entries: Entry | Change, data: bytes = b"data") -> Applied:
        changes = [one if isinstance(one, Change) else Change(1, one.path, one) for one in entries]
        attempt = self.applier.begin(changes, WholeReach())
        for wanted in attempt.wanted():
            attempt.write(wanted, data, 0, False)
        applied = attempt.finish(OPENING)
        self.base.commit(applied)
        return applied

    def attribute(self, name: str, attribute: str = "user.comment") -> bytes | None:
        path = self.root / name
        return os.getxattr(path, attribute) if attribute in os.listxattr(path) else None


def refusing(number: int, *operations: str) -> Disk:
    def refuse(operation: str, _: bytes) -> None:
        if operation in operations:
            raise OSError(number, os.strerror(number))

    return Disk(refuse)


def test_attributes_come_with_a_new_file_change_and_go(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.apply(entry(b"a", encoded=COMMENT))
    assert node.attribute("a") == b"kept"
    inode = (node.root / "a").stat().st_ino
    applied = node.apply(entry(b"a", encoded=attributes.encode({b"user.comment": b"new"})))
    assert (applied.changed, node.attribute("a")) == (1, b"new")
    node.apply(entry(b"a"))
    assert node.attribute("a") is None
    assert (node.root / "a").stat().st_ino == inode
    assert (node.root / "a").stat().st_mtime_ns == 10**18


def test_an_attribute_added_here_is_removed_when_the_path_is_compared(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.apply(entry(b"a"))
    os.setxattr(node.root / "a", "user.foreign", b"x")
    assert node.apply(entry(b"a")).changed == 1
    assert node.attribute("a", "user.foreign") is None
    assert node.apply(entry(b"a")).changed == 0


def test_what_belongs_to_the_machine_is_left_alone() -> None:
    for name in (b"security.ima", b"security.evm", b"system.nfs4_acl", b"trusted.overlay.opaque", b"btrfs.compression"):
        assert not attributes.is_carried(name)


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EPERM, errno.ENOSPC, errno.E2BIG])
def test_an_attribute_that_cannot_be_held_is_a_problem_and_the_content_is_applied(tmp_path: Path, number: int) -> None:
    node = Node(tmp_path, refusing(number, "set_attribute"))
    applied = node.apply(entry(b"a", encoded=COMMENT))
    assert (node.root / "a").read_bytes() == b"data"
    [problem] = applied.problems
    assert problem.path == b"a"
    assert "attribute user.comment cannot be set" in problem.reason
    assert os.strerror(number) in problem.reason


def test_without_its_access_list_a_file_gives_its_group_no_more_than_before(tmp_path: Path) -> None:
    node = Node(tmp_path, refusing(errno.EOPNOTSUPP, "set_attribute"))
    applied = node.apply(entry(b"a", encoded=ACCESS, mode=0o670))
    assert (node.root / "a").stat().st_mode & 0o777 == 0o600
    assert "its access list cannot be set" in applied.problems[0].reason


def test_the_group_bits_without_an_access_list() -> None:
    assert without_access_list(0o4674, access_list.to_kernel(LIST)) == 0o4604


def test_an_error_of_the_disk_is_no_matter_of_one_path(tmp_path: Path) -> None:
    with pytest.raises(ApplyError, match="set attribute failed at 'a'"):
        Node(tmp_path, refusing(errno.EIO, "set_attribute")).apply(entry(b"a", encoded=COMMENT))


def known(**numbers: int) -> Callable[[str], int]:
    return lambda name: numbers[name]


def test_owners_are_found_by_name_by_another_name_and_by_number() -> None:
    owners = Owners(known(nginx=101, backup=34), known(web=55), {"www-data": "nginx", "www": "web"})
    wanted = entry(b"a")._replace(uid=33, gid=33, owner="www-data", group="www")
    assert owners.local(wanted) == (101, 55)
    assert owners.local(wanted._replace(owner="backup", group="")) == (34, 33)
    assert owners.local(wanted._replace(owner="nobody-here")) == (33, 55)
    assert owners.missing(("www-data", "backup", "ghost"), ("www", "staff")) == (["ghost"], ["staff"])


def test_an_access_list_names_the_same_people_here() -> None:
    owners = Owners(known(nginx=101), known(web=55), {"www-data": "nginx"})
    people = [*LIST[:1], AccessEntry(USER, 7, 33, "www-data"), AccessEntry(GROUP, 4, 9, "web"), *LIST[2:]]
    wanted = entry(b"a", encoded=attributes.encode({attributes.ACCESS_LISTS[0]: access_list.encode(people)}))
    [raw] = owners.attributes(wanted).values()
    here = access_list.from_kernel(raw, lambda _: "", lambda _: "")
    assert [(e.tag, e.number) for e in here if e.tag in (USER, GROUP)] == [(USER, 101), (GROUP, 55)]
    local = [e._replace(name="") for e in here]
    current = wanted._replace(
        uid=wanted.uid, attributes=attributes.encode({attributes.ACCESS_LISTS[0]: access_list.encode(local)})
    )
    assert same_here(owners, wanted, current)
    assert not same_here(owners, wanted, current._replace(attributes=b""))


def test_a_name_that_no_handshake_told_of_is_a_problem_of_its_path(tmp_path: Path) -> None:
    owners = Owners(known(), known())
    node = Node(tmp_path, owners=owners)
    stranger = entry(b"a")._replace(owner="ghost")
    [problem] = node.apply(stranger).problems
    assert problem.reason == "ghost is not known on failover: production's number is used"
    owners.missing(("ghost",), ())
    assert node.apply(stranger._replace(mode=0o600)).problems == []


def test_names_that_cannot_be_linked_become_copies_and_problems(tmp_path: Path) -> None:
    node = Node(tmp_path, refusing(errno.EMLINK, "link"))
    applied = node.apply(entry(b"a", link=7), entry(b"b", link=7))
    assert [(node.root / name).read_bytes() for name in ("a", "b")] == [b"data", b"data"]
    assert (node.root / "a").stat().st_nlink == 1
    [problem] = applied.problems
    assert "is a copy here, not another name of the same file" in problem.reason


def test_a_peer_cannot_make_different_files_one_by_their_number(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.apply(entry(b"a", link=7, mode=0o600), entry(b"b", link=7, mode=0o644))
    assert (node.root / "a").stat().st_ino != (node.root / "b").stat().st_ino
    assert (node.root / "a").stat().st_mode & 0o777 == 0o600


def test_a_new_name_is_no_name_of_a_file_that_has_one_outside(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.apply(entry(b"a", link=7))
    os.link(node.root / "a", tmp_path / "outside")
    node.apply(entry(b"b", link=7), entry(b"a", link=7))
    node.applier.tidy()
    assert (tmp_path / "outside").stat().st_nlink == 1
    assert (node.root / "a").samefile(node.root / "b")


def test_a_new_name_is_no_name_of_a_file_that_was_edited_here(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.apply(entry(b"a", link=7), entry(b"c", link=7))
    (node.root / "a").write_bytes(b"edit")
    node.apply(entry(b"b", link=7))
    assert (node.root / "b").read_bytes() == b"data"
    assert (node.root / "a").read_bytes() == b"edit"


def test_a_third_name_copies_nothing_and_moves_nobodys_base(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.apply(entry(b"a", link=7), entry(b"b", link=7))
    attempt = node.applier.begin([Change(1, b"c", entry(b"c", link=7))], WholeReach())
    assert attempt.wanted() == []
    node.base.commit(attempt.finish(OPENING))
    assert (node.root / "c").samefile(node.root / "a")
    for name in ("a", "b", "c"):
        assert node.base.rows[name.encode()].identity.ctime_ns == (node.root / name).stat().st_ctime_ns


@pytest.mark.parametrize(
    "data",
    [b"", b"x", bytes(4096 * 8), b"x" + bytes(4096 * 9), bytes(4096 * 5) + b"x" * 5000 + bytes(4096 * 7 + 1)],
    ids=len,
)
def test_zeros_become_holes_and_stay_zeros(tmp_path: Path, data: bytes) -> None:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    write_sparse(Disk(), descriptor, data, b"file")
    write_sparse(Disk(), descriptor, data, b"file")
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == data + data
    if len(data) >= 4096 * 4:
        assert (tmp_path / "file").stat().st_blocks * 512 < len(data + data)


def test_a_copy_keeps_holes(tmp_path: Path) -> None:
    node = Node(tmp_path)
    data = bytes(1 << 20) + b"end"
    node.apply(entry(b"a", data), data=data)
    node.apply(entry(b"b", data))
    assert (node.root / "b").read_bytes() == data
    assert (node.root / "b").stat().st_blocks <= 32


def test_the_preflight_asks_the_file_system_beside_the_tree(tmp_path: Path) -> None:
    node = Node(tmp_path, refusing(errno.EOPNOTSUPP, "set_attribute"), Owners(known(), known()))
    before = node.root.stat().st_mtime_ns
    limits = " ".join(node.applier.limits(("ghost",), ("staff",), may_probe=True))
    for part in ("user ghost", "group staff", "no extended attributes", "no access lists"):
        assert part in limits
    assert node.root.stat().st_mtime_ns == before
    assert list(node.root.iterdir()) == []


def test_a_file_system_that_ignores_case_is_a_limit(tmp_path: Path) -> None:
    stage: list[Path] = []

    def answer_to_both(operation: str, _: bytes) -> None:
        if operation == "set_attribute" and not stage:
            [created] = tmp_path.glob(".syncer/*/*/Probe")
            stage.append(created.with_name("pROBE"))
            stage[0].touch()

    node = Node(tmp_path, Disk(answer_to_both), Owners(known(), known()))
    assert any("upper and lower case" in limit for limit in node.applier.limits((), (), may_probe=True))


def test_labels_that_this_kernel_does_not_use_are_left_out_and_said(tmp_path: Path) -> None:
    if has_labels():
        pytest.skip("this kernel uses labels")
    node = Node(tmp_path, owners=Owners(known(), known()))
    node.apply(entry(b"a", encoded=attributes.encode({attributes.LABEL: b"system_u:object_r:etc_t:s0"})))
    assert "security.selinux" not in os.listxattr(node.root / "a")
    assert any("SELinux labels" in limit for limit in node.applier.limits((), (), may_probe=False))


@pytest.mark.needs_root
def test_where_all_can_be_held_nothing_is_said(tmp_path: Path) -> None:
    node = Node(tmp_path)
    assert node.applier.limits(("root",), ("root",), may_probe=True) == []
    (tmp_path / "root").rmdir()
    assert node.applier.limits(("root",), ("root",), may_probe=True) == []
    assert not (tmp_path / "root").exists()
