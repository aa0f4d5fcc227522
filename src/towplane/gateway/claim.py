"""Between route and attempt: may this target be asked now, as far as its provider's limits go?

Two things are known of a provider's limits: what the document says, which all workers share as
units (`tenants.leases`, as a tenant's limits), and what answers said is left (`Throttle`). Both are
looked at before anything is sent, so that the plane slows itself down before it is told to. A
target that may not be asked is left alone for as long as that lasts, and another is chosen.
"""

from typing import TYPE_CHECKING, Final

from towplane.gateway.admit import Denied, Short
from towplane.tenants.cost import cost_nanousd
from towplane.tenants.leases import MONEY, RUNS, TOKENS, Share

if TYPE_CHECKING:
    from towplane.gateway.attempt import Attempt
    from towplane.gateway.exchange import Exchange
    from towplane.gateway.spill import SpillState
    from towplane.gateway.target_state import TargetState

__all__ = ["claim", "give_back", "is_denied", "unclaim"]

_UNKNOWN_WAIT_S: Final = 1.0
_FULL_S: Final = 0.2
"""An engine that was full in all workers is asked for so soon again: a place here ends it at once,
one that another worker has left is found by then, for one question of the coordinator."""


def claim(x: "Exchange", target: "TargetState") -> Short | bool:
    """Take the provider's units for one attempt: True; False: the target is left alone for a while;
    or which units are missing in this worker, to be asked for."""
    hall = x.hall
    now = hall.now()
    tokens = x.ask.input_estimate + x.output_limit
    unclaim(x)
    wait_s = target.throttled_s(tokens, now)
    if wait_s > 0:
        target.limit(target.pick_credential(now), now + wait_s)
        return False
    account, spill = target.provider.account, x.route.spill if x.route is not None else None
    if account is None and spill is None:
        return True
    taken: list[tuple[Share, int]] = []
    x.claimed = taken
    for share in account.shares_at(x.wall) if account is not None else ():
        amount = tokens if share.unit == TOKENS else 1
        if share.free < amount:
            return Short(share, amount - share.free)
        share.free -= amount
        taken.append((share, amount))
    if spill is None or target.info.name not in spill.names:
        return True
    return _claim_money(x, target, spill, taken)


def is_denied(x: "Exchange", target: "TargetState", short: Short) -> bool:
    """Whether the coordinator has said that there are no such units; the provider is then left
    alone until there are."""
    denied: Denied | None = x.denied
    if denied is None or not denied.of(short):
        return False
    x.denied = None
    unclaim(x)
    if short.share.unit == MONEY:
        spill = x.route.spill if x.route is not None else None
        assert spill is not None
        spill.close(x.hall.now(), denied.retry_after_s)
        return True
    target.provider.short = short
    target.provider.suspect()
    wait_s = denied.retry_after_s
    if target.provider.capacity is short.share:
        wait_s = _FULL_S
    target.provider.at_limit_until = x.hall.now() + (
        _UNKNOWN_WAIT_S if wait_s is None else max(wait_s, 0.05)
    )
    return True


def unclaim(x: "Exchange") -> None:
    """Give back what was taken for an attempt that did not begin."""
    claimed, x.claimed = x.claimed, ()
    for share, amount in claimed:
        share.free += amount
        x.hall.came_back(share)
    if claimed:
        x.hall.lobby.room()


def _claim_money(
    x: "Exchange", target: "TargetState", spill: "SpillState", taken: list[tuple[Share, int]]
) -> Short | bool:
    """Reserve what the attempt may cost, of what the route has for overflow."""
    dated = target.price_at(x.wall)
    price = dated.for_input(x.ask.input_estimate)
    if not spill.rule.admits(dated.price, x.hall.now()):
        target.load.costs(dated.price)  # it may have turned since somebody looked
        target.load.suspect()
        return False
    if spill.account is None or price is None:
        return True
    amount = cost_nanousd(price, x.ask.input_estimate, 0, x.output_limit)
    for share in spill.account.shares_at(x.wall):
        if share.free < amount:
            return Short(share, amount - share.free)
        share.free -= amount
        taken.append((share, amount))
    return True


def give_back(attempt: "Attempt", used_tokens: int, used_nanousd: int = 0) -> None:
    """An attempt is over: what it did not use goes back."""
    for share, amount in attempt.claimed:
        if share.unit == RUNS:
            share.free += amount
            provider = attempt.target.provider
            if provider.capacity is share and share.free > 0:
                provider.at_limit_until = 0.0
            attempt.x.hall.came_back(share)
        elif share.unit == TOKENS:
            share.settle(amount - used_tokens, attempt.started_at)
        elif share.unit == MONEY:
            share.free += amount - used_nanousd
    attempt.claimed = ()
