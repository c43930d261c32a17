"""Epochs, confirmations and those who wait for them."""

from __future__ import annotations

from controller.reconcile.status import Ledger, Waiter


def _waiting(ledger: Ledger, generation: int) -> Waiter:
    waiter = Waiter()
    if not ledger.wait(generation, waiter):
        waiter.set_result(())
    return waiter


def _release(ledger: Ledger) -> None:
    for record in ledger.close():
        for waiter in record.waiters:
            waiter.set_result(())


def test_waiter_is_released_by_the_last_switch() -> None:
    """A generation that touches two switches is there when both confirmed its epoch, not before."""
    ledger = Ledger(0)
    epoch = ledger.advance(1, [1, 2], frozenset({"x"}))
    waiter = _waiting(ledger, 1)
    ledger.confirm(1, epoch)
    _release(ledger)
    assert not waiter.done()
    assert ledger.lagging(1) == (2,)
    assert ledger.confirm(2, epoch) == {"x"}
    _release(ledger)
    assert waiter.done()


def test_waiter_may_come_before_its_generation_is_compiled() -> None:
    """Waiting for a generation that the loop has not seen yet holds until it has been compiled and confirmed."""
    ledger = Ledger(0)
    waiter = _waiting(ledger, 2)
    epoch = ledger.advance(1, [1], frozenset())
    ledger.confirm(1, epoch)
    _release(ledger)
    assert not waiter.done()
    epoch = ledger.advance(2, [1], frozenset())
    _release(ledger)
    assert not waiter.done()
    ledger.confirm(1, epoch)
    _release(ledger)
    assert waiter.done()


def test_what_follows_from_a_generation_holds_its_waiters() -> None:
    """A later epoch without a new generation (labels confirmed, choices made) is waited for by those still waiting."""
    ledger = Ledger(0)
    first = ledger.advance(1, [1], frozenset())
    waiter = _waiting(ledger, 1)
    ledger.confirm(1, first)
    second = ledger.advance(1, [2, 3], frozenset(), follow_up=[2])
    _release(ledger)
    assert not waiter.done()
    ledger.confirm(2, second)
    _release(ledger)
    assert waiter.done(), "switch 3 is not connected, so what follows does not wait for it"


def test_generation_that_touches_nothing_is_there_at_once() -> None:
    """Nobody waits for an unbound port."""
    ledger = Ledger(0)
    ledger.advance(1, [], frozenset({"x"}))
    _release(ledger)
    assert _waiting(ledger, 1).done()


def test_switch_reaches_the_generations_it_confirmed() -> None:
    """Never heard of: nothing.  Behind: what it confirmed last.  Nothing to do: the newest."""
    ledger = Ledger(0)
    epoch = ledger.advance(1, [1, 2], frozenset())
    ledger.confirm(1, epoch)
    assert (ledger.reached(1), ledger.reached(2)) == (1, -1)
    ledger.confirm(2, epoch)
    later = ledger.advance(5, [1], frozenset())
    assert (ledger.reached(1), ledger.reached(2)) == (1, 5)
    ledger.confirm(1, later)
    ledger.close()
    assert ledger.reached(1) == 5


def test_generation_reached_is_that_of_the_epoch_confirmed_over_many_epochs_of_one_generation() -> None:
    """Most epochs are no change of intent; who is at any of them has its generation."""
    ledger = Ledger(0)
    for generation in (1, 1, 1, 2, 2):
        ledger.advance(generation, [1, 2], frozenset())
    reached = []
    for epoch in range(1, 6):
        ledger.confirm(1, epoch)
        ledger.close()
        reached.append(ledger.reached(1))
    assert reached == [1, 1, 1, 2, 2]
    ledger.confirm(2, 5)
    ledger.close()
    ledger.advance(2, [2], frozenset())
    assert ledger.reached(2) == 2


def test_held_waiter_waits_for_its_switches_alone() -> None:
    """For what they were told up to now: not for other switches, later changes, or who was never told anything."""
    ledger = Ledger(0)
    ledger.advance(1, [1, 2, 3], frozenset())
    held = Waiter()
    ledger.hold(held, [1, 2, 99])
    assert ledger.lagging_for(held) == (1, 2)
    ledger.advance(2, [1, 2], frozenset())
    assert ledger.let_go() == []
    ledger.confirm(1, 2)
    ledger.confirm(2, 1)
    assert ledger.can_close
    assert ledger.let_go() == [held]
    assert not ledger.can_close and ledger.lagging_for(held) == ()


def test_held_waiter_waits_no_longer_for_a_switch_that_is_forgotten_nor_once_it_gave_up() -> None:
    """Else it would be kept for ever."""
    ledger = Ledger(0)
    ledger.advance(1, [1], frozenset())
    held, gave_up = Waiter(), Waiter()
    ledger.hold(gave_up, [1])
    gave_up.set_result((1,))
    assert ledger.let_go() == [] and ledger.lagging_for(gave_up) == ()
    ledger.hold(held, [1])
    ledger.forget(1)
    assert ledger.let_go() == [held]
