"""Notifies through Apprise, which knows the services; only where the extra `notify` is installed."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from syncer.events.delivery import Answer, Outcome, Parcel
from syncer.events.notice import RECOVERY, TEST
from syncer.events.texts import Words, rendered
from syncer.model import EventValue


class Notifier:
    """Notifies the services of one trigger."""

    def __init__(self, addresses: tuple[str, ...], constants: Mapping[str, EventValue]) -> None:
        """Notify these addresses, in Apprise's form; they hold secrets."""
        self._addresses = addresses
        self._constants = constants

    @property
    def receivers(self) -> tuple[str, ...]:
        """The services by number and kind, which tell nothing secret."""
        return tuple(
            f"{number} {address.partition('://')[0].lower()}" for number, address in enumerate(self._addresses, 1)
        )

    def deliver(self, parcel: Parcel) -> Answer:
        """Make one attempt at each receiver that has not got it yet."""
        try:
            import apprise
        except ImportError:
            return Answer(Outcome.LATER, 'Apprise is not installed: pip install "syncer-failover[notify]"')
        # Its own lines may repeat addresses.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        text = rendered(parcel.notice, Words(), self._constants)
        kinds = {RECOVERY: apprise.NotifyType.SUCCESS, TEST: apprise.NotifyType.INFO}
        kind = kinds.get(parcel.notice.kind, apprise.NotifyType.FAILURE)
        left = []
        unknown = []
        for receiver, address in zip(self.receivers, self._addresses, strict=True):
            if receiver not in parcel.receivers:
                continue
            service = apprise.Apprise()
            if not service.add(address):
                unknown.append(receiver)
            elif not service.notify(title=text.subject, body=text.body, notify_type=kind):
                left.append(receiver)
        return _answer(parcel.receivers, left, unknown)


def _answer(receivers: tuple[str, ...], left: list[str], unknown: list[str]) -> Answer:
    words = [f"{receiver}: Apprise could not notify it" for receiver in left]
    words += [f"{receiver}: Apprise does not know such an address, correct it" for receiver in unknown]
    said = "; ".join(words) or "notified"
    if left:
        return Answer(Outcome.LATER, said, tuple(left), tuple(unknown))
    if len(unknown) == len(receivers):
        return Answer(Outcome.REFUSED, said)
    return Answer(Outcome.DONE, said, (), tuple(unknown))
