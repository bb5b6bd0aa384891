"""Runs commands on a machine of its own: its addresses, a configuration at its real place, nothing left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

PRODUCTION = ("10.71.0.10/16", "10.71.0.20/16", "192.0.2.71/24", "2001:db8:71::10/64")
FAILOVER = ("10.72.0.20/16", "10.72.0.10/16", "192.0.2.72/24", "2001:db8:72::10/64")
"""The addresses of production's machine, and of failover's in the same order."""

SECONDS = 100.0
ISOLATED = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")

# The namespaces end with the command: neither an address, nor a mount, nor a server outlives it. The tree is copied,
# so that no command writes into it; what servers write elsewhere goes to memory.
MACHINE = """
tree=$1 place=$2 script=$3
shift 3
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth1 up
ip link set eth0 up
for address in "$@"; do
    case $address in *:*) ip address add "$address" dev eth0 nodad ;; *) ip address add "$address" dev eth0 ;; esac
done
mount -t tmpfs -o mode=755 memory /run
cp -a "$tree" /run/configuration
for written in log/nginx log/samba lib/nginx lib/postfix lib/samba spool/postfix cache/samba; do
    if [ -d "/var/$written" ]; then mount -t tmpfs -o mode=755 memory "/var/$written"; fi
done
if [ -d "$place" ]; then mount --bind /run/configuration "$place"; fi
cd /
eval "$script"
"""


def run(script: str, tree: Path, place: str, addresses: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run a shell script where `tree` stands at `place` and the machine has these addresses; both outputs as one."""
    return subprocess.run(
        [*ISOLATED, "sh", "-eu", "-c", MACHINE, "sh", str(tree), place, script, *addresses],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=SECONDS,
        check=False,
    )
