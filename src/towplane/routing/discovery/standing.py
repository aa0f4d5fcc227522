"""How the addresses of one provider stand: the last good answer, what came of it, what is leaving.

Pure; a fold over answers, failures and time. The laws: a good answer is believed at once; a failed
one changes no address until `keep_s` have passed; an address that is no longer named drains, and
is let go when nothing runs there; one that is named again is what it was.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from towplane.routing.discovery.address import Address, merge

__all__ = ["LONGEST_DRAIN_S", "SETTLED_S", "Standing"]

SETTLED_S = 3.0
"""Workers report once a second: after so long they have said what still runs at an address."""
LONGEST_DRAIN_S = 3600.0
"""An address that is gone is shown no longer than this; workers let what runs there end anyway."""


class Standing(Struct, frozen=True):
    """The addresses of one provider at a moment."""

    addresses: tuple[Address, ...] = ()
    """Those that are named, and those that drain because they no longer are."""
    heard_at: float | None = None
    """When the last good answer came, monotonic; None: none has."""
    trouble: str = ""
    """Why there has been no good answer since; empty: the last one was good."""

    @property
    def named(self) -> tuple[Address, ...]:
        """The addresses that the source names."""
        return tuple(one for one in self.addresses if one.left_at is None)

    def heard(self, found: Iterable[Address], now: float) -> "Standing":
        """A good answer came: exactly these."""
        return Standing(_follow(self.addresses, merge(found), now), now)

    def failed(self, say: str) -> "Standing":
        """There is no good answer; what is known stays."""
        return replace(self, trouble=say)

    def at(self, now: float, keep_s: float) -> "Standing":
        """As time has passed: what nobody has confirmed for `keep_s` is no longer believed."""
        if not self.trouble or not self.named:
            return self
        if self.heard_at is not None and now - self.heard_at < keep_s:
            return self
        return replace(self, addresses=_follow(self.addresses, (), now))

    def released(self, in_flight: Callable[[Address], int], now: float) -> "Standing":
        """Without those that are gone and at which nothing runs any more."""
        kept = tuple(
            one for one in self.addresses if one.left_at is None or _is_busy(one, in_flight, now)
        )
        return self if len(kept) == len(self.addresses) else replace(self, addresses=kept)


def _follow(
    old: tuple[Address, ...], named: tuple[Address, ...], now: float
) -> tuple[Address, ...]:
    places = {one.place for one in named}
    leaving = [
        _leave(one, now) for one in old if one.place not in places and one.state != "starting"
    ]
    return tuple(sorted((*named, *leaving), key=lambda one: one.place))


def _leave(address: Address, now: float) -> Address:
    if address.left_at is not None:
        return address
    return replace(address, state="draining", reason="it is no longer named", left_at=now)


def _is_busy(address: Address, in_flight: Callable[[Address], int], now: float) -> bool:
    assert address.left_at is not None
    gone_s = now - address.left_at
    if gone_s < SETTLED_S:
        return True
    return gone_s < LONGEST_DRAIN_S and in_flight(address) > 0
