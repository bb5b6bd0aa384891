"""Which roots must be polled."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer.capture.mounts import remote_kind

TABLE = r"""22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:25 / /net/share rw - nfs4 server:/x rw
31 22 0:26 / /net/share\040two rw - fuse.sshfs host: rw
32 22 0:27 / /srv rw - nfs server:/y rw
33 32 0:28 / /srv rw - xfs /dev/sdb rw
34 22 0:29 / /etc/deep/down rw - cifs //host/z rw
"""


@pytest.mark.parametrize(
    ("root", "kind"),
    [
        ("/var", None),
        ("/net/share/sub", "nfs4"),
        ("/net/share", "nfs4"),
        ("/net/sharex", None),
        ("/net/share two", "fuse.sshfs"),
        ("/srv/a", None),
        ("/etc/deep", "cifs"),
        ("/etc/other", None),
    ],
)
def test_the_mount_that_holds_a_root_or_lies_in_it_decides(tmp_path: Path, root: str, kind: str | None) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert remote_kind(Path(root), table) == kind


def test_without_a_table_nothing_is_polled(tmp_path: Path) -> None:
    assert remote_kind(tmp_path, tmp_path / "missing") is None


def test_this_machine_s_temporary_directory_is_local(tmp_path: Path) -> None:
    assert remote_kind(tmp_path) is None
