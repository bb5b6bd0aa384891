"""What this machine says that it is reached by."""

from __future__ import annotations

from ipaddress import ip_address

from syncer.leftovers.own_addresses import own_addresses
from syncer.substitution.parse import Name, parse_side


def test_own_addresses_are_what_other_machines_may_name() -> None:
    for text in own_addresses():
        side = parse_side(text)
        if not isinstance(side, Name):
            address = ip_address(text)
            assert not address.is_loopback
            assert not address.is_link_local
