"""Production's configuration of each Debian package: what the package ships, with production's addresses put in."""

from __future__ import annotations

import datetime as dt
import ipaddress
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FIXTURES = Path(__file__).parents[1] / "fixtures" / "packages"
LARGE_FILE_BYTES = 3 << 20
BINARY = b"\x7fELF\x02\x01\x01\x00\x00 10.71.0.10 \x00prod.example.com\x00\xff\xfe" + bytes(range(256))


def make_tree(name: str, folder: Path, scratch: Path) -> Path:
    """Write production's tree of this package into `folder`; `scratch` is an empty folder for what it takes."""
    scratch.mkdir(parents=True, exist_ok=True)
    MAKERS[name](folder, scratch)
    return folder


def overlay(name: str, folder: Path) -> None:
    """Put the files of this package that production's operator wrote over those that Debian ships."""
    shutil.copytree(FIXTURES / name, folder, symlinks=True, dirs_exist_ok=True)


def append(path: Path, added: Path) -> None:
    """Move the text of one file to the end of another, as an operator adds to what a package ships."""
    path.write_bytes(path.read_bytes() + added.read_bytes())
    added.unlink()


def edit(path: Path, old: str, new: str) -> None:
    """Change one line of what the package ships; fails where the package ships it no more."""
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path} should hold once: {old}"
    path.write_text(text.replace(old, new), "utf-8")


def shipped(place: str, folder: Path) -> None:
    """Copy what lies at the package's own place on this machine; links stay links."""
    shutil.copytree(place, folder, symlinks=True, dirs_exist_ok=True)


def _nginx(folder: Path, scratch: Path) -> None:
    shipped("/etc/nginx", folder)
    overlay("nginx", folder)
    edit(folder / "nginx.conf", "default_type application/octet-stream;", "default_type text/plain; # 10.71.0.10")
    write_certificate(folder / "ssl" / "shop.crt", folder / "ssl" / "shop.key")


def _haproxy(folder: Path, scratch: Path) -> None:
    shipped("/etc/haproxy", folder)
    overlay("haproxy", folder)
    append(folder / "haproxy.cfg", folder / "added.cfg")
    edit(folder / "haproxy.cfg", "log /dev/log\tlocal1 notice", "log 10.71.0.20:514 local1 notice")


def _postfix(folder: Path, scratch: Path) -> None:
    shipped("/etc/postfix", folder)
    overlay("postfix", folder)
    shutil.copy("/usr/share/postfix/main.cf.debian", folder / "main.cf")
    append(folder / "main.cf", folder / "added.cf")
    edit(folder / "master.cf", "\nsmtp      inet  n ", "\n10.71.0.10:smtp inet n ")
    # A database beside its text, as every mail server has it. postmap waits a second where there is none yet.
    (folder / "transport.db").touch()
    (scratch / "main.cf").write_text("compatibility_level = 3.6\n", "utf-8")
    subprocess.run(["postmap", "-c", str(scratch), "hash:transport"], cwd=folder, check=True, capture_output=True)


def _bind(folder: Path, scratch: Path) -> None:
    shipped("/etc/bind", folder)
    overlay("bind", folder)


def _postgresql(folder: Path, scratch: Path) -> None:
    # What initdb writes is what the package ships, fitted to the machine.
    initialize_database(scratch)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
        shutil.copy2(scratch / name, folder / name)
    overlay("postgresql", folder)
    append(folder / "postgresql.conf", folder / "added.conf")
    append(folder / "pg_hba.conf", folder / "added_hba.conf")
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "postgres", "postgres")


def initialize_database(folder: Path) -> None:
    """Make an empty database cluster, owned by the user that PostgreSQL runs as."""
    shutil.chown(folder, "postgres", "postgres")
    line = f'exec "{POSTGRESQL}/initdb" --no-sync --auth=trust --pgdata=/mnt'
    # The folders above may be closed to that user: the namespace shows it this one at another place.
    script = f"mount --bind \"{folder}\" /mnt && cd /mnt && runuser -u postgres -- sh -c '{line}'"
    subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True, capture_output=True)


def _samba(folder: Path, scratch: Path) -> None:
    shipped("/etc/samba", folder)
    overlay("samba", folder)
    append(folder / "smb.conf", folder / "added.conf")


def _keepalived(folder: Path, scratch: Path) -> None:
    shipped("/etc/keepalived", folder)
    overlay("keepalived", folder)


def _swanctl(folder: Path, scratch: Path) -> None:
    shipped("/etc/swanctl", folder)
    overlay("swanctl", folder)


def _netplan(folder: Path, scratch: Path) -> None:
    overlay("netplan", folder)
    for path in folder.iterdir():
        path.chmod(0o600)


def _application(folder: Path, scratch: Path) -> None:
    """Files of no package in particular, the awkward ones among them."""
    overlay("application", folder)
    text = "Zuhörer = 10.71.0.10\r\nName = prod.example.com\r\n[2001:db8:71::10]\r\n"
    (folder / "utf16-le.txt").write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    (folder / "utf16-be.txt").write_bytes(b"\xfe\xff" + text.encode("utf-16-be"))
    (folder / "utf8-bom.txt").write_bytes(b"\xef\xbb\xbf10.71.0.10 f\xc3\xbcr prod.example.com\n")
    (folder / "latin1.conf").write_bytes(b"name=B\xfcro\nzuh\xf6rer=10.71.0.10\nrelay=10.71.0.20")
    (folder / "old-mac.txt").write_bytes(b"a 10.71.0.10\rb 10.71.0.20\r")
    (folder / "empty").write_bytes(b"")
    (folder / "binary").write_bytes(BINARY)
    (folder / "large.log").write_bytes(_large())
    write_certificate(folder / "tls" / "server.crt", folder / "tls" / "server.key")
    (folder / "a file with 10.71.0.10 in its name").write_bytes(b"10.71.0.10")
    (folder / "current").symlink_to("config.json")
    for limited in ("limited.conf", "limited.txt", "kept/limited.conf"):
        (folder / limited).parent.mkdir(exist_ok=True)
        (folder / limited).write_bytes(b"198.51.100.71\n")


def _large() -> bytes:
    """Return 3 MB of lines of which a few name production, also across every usual border of blocks."""
    found = bytearray()
    for number in range(1 << 30):
        if len(found) >= LARGE_FILE_BYTES:
            return bytes(found)
        found += b"%08d 203.0.113.%d GET /%s\n" % (number, number % 256, b"x" * (number % 97))
        if len(found) % 65536 < 100:
            found += b" " * (65536 - len(found) % 65536 - 5) + b"10.71.0.10 prod.example.com 2001:db8:71::10\n"
    raise AssertionError("the file is full long before")


def write_certificate(certificate: Path, key: Path) -> None:
    """Write a self-signed certificate for production's name and address, and its key."""
    certificate.parent.mkdir(parents=True, exist_ok=True)
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "prod.example.com")])
    names = [x509.DNSName("prod.example.com"), x509.IPAddress(ipaddress.ip_address("10.71.0.10"))]
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    certificate.write_bytes(signed.public_bytes(pem))
    key.write_bytes(private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    key.chmod(0o600)


def _postgresql_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else Path("/usr/lib/postgresql/bin")


POSTGRESQL = _postgresql_programs()
"""Debian keeps the programs of each version apart from the path."""

MAKERS: dict[str, Callable[[Path, Path], None]] = {
    "nginx": _nginx,
    "haproxy": _haproxy,
    "postfix": _postfix,
    "bind": _bind,
    "postgresql": _postgresql,
    "samba": _samba,
    "keepalived": _keepalived,
    "swanctl": _swanctl,
    "netplan": _netplan,
    "application": _application,
}
