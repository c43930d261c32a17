"""What would fit: asked by quote or told by a refusal it is the same, and it does."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from controller.intent.snapshot import Resource
from controller.model.bandwidth import (
    MIN_RATE_KBPS,
    BandwidthPolicy,
    OnFailure,
    Rates,
    Recurring,
    TrafficClass,
    Window,
)
from controller.model.errors import FailedPrecondition, PliantError, ResourceExhausted
from controller.model.network import Pipe
from controller.reconcile.peaks import Guaranteed, scaled
from tests.sequences.states import port, port_name, tenant
from tests.support.admitted import LINK_KBPS, Fabric, alone, both, everywhere


@pytest.fixture
def fabric() -> Fabric:
    return Fabric()


def test_question_leaves_nothing_behind(fabric: Fabric) -> None:
    """What was only asked (validate_only), or refused by somebody else, is not promised to anybody."""
    fabric.apply(everywhere("red", both(10_000)))
    asked = fabric.intent.put(alone("red", both(180_000)))
    for _ in range(2):
        fabric.admission.check(fabric.intent, asked, frozenset({"tenants/red"}))
    fabric.apply(everywhere("blue", both(180_000)))
    with pytest.raises(ResourceExhausted):
        fabric.apply([alone("red", both(10_001))])


def test_quote_is_what_admission_would_say(fabric: Fabric) -> None:
    """Whether it fits, how much would, and where it does not."""
    fabric.apply(everywhere("red", both(100_000)))
    fabric.apply(everywhere("blue", BandwidthPolicy()))
    fits = fabric.admission.quote(alone("blue", both(50_000)))
    assert (fits.fits, fits.largest_in_kbps, fits.largest_out_kbps, fits.shortfalls) == (True, 90_000, 90_000, ())
    asked = fabric.admission.quote(alone("blue", both(95_000)))
    assert (asked.fits, asked.largest_in_kbps, asked.largest_out_kbps) == (False, 90_000, 90_000)
    assert {(each.needed_kbps, each.left_kbps) for each in asked.shortfalls} == {(47_500, 45_000)}
    assert fabric.admission.quote(alone("blue", BandwidthPolicy())).largest_out_kbps == 90_000
    one_way = fabric.admission.quote(alone("blue", BandwidthPolicy(guarantee_out_kbps=200_000)))
    assert (one_way.fits, one_way.largest_in_kbps, one_way.largest_out_kbps) == (False, 0, 90_000)
    assert not fabric.admission.quote(port("blue", "x", (11, 8))).shortfalls


def test_largest_that_fits_is_within_the_bounds_of_those_above(fabric: Fabric) -> None:
    """However much the links could carry: what is quoted can be asked for, and not one kbit/s more."""
    fabric.apply(everywhere("red", both(50_000)))
    fabric.apply([port("red", "a", (11, 3), both(30_000))])
    quoted = fabric.admission.quote(port("red", "b", (12, 3), both(10_000)))
    assert (quoted.fits, quoted.largest_in_kbps, quoted.largest_out_kbps) == (True, 20_000, 20_000)
    fabric.apply([port("red", "b", (12, 3), both(20_000))])
    with pytest.raises(FailedPrecondition, match="ask for 1 kbit/s less"):
        fabric.apply([port("red", "b", (12, 3), both(20_001))])


def test_largest_that_fits_does_in_both_directions_together(fabric: Fabric) -> None:
    """Less in the one that is too much; both in proportion if both are."""
    fabric.apply(everywhere("red", BandwidthPolicy()))
    pipe = Pipe(name="tenants/red/pipes/p", a=port_name("red", "a"), b=port_name("red", "b"))
    fabric.apply([pipe])

    def asked(inward: int, outward: int) -> Resource:
        return replace(
            fabric.intent.pipes[pipe.name],
            bandwidth=BandwidthPolicy(guarantee_in_kbps=inward, guarantee_out_kbps=outward))

    for (inward, outward), largest in (
        ((300_000, 100_000), (190_000, 100_000)), ((100_000, 300_000), (100_000, 190_000)),
        ((400_000, 200_000), (190_000, 95_000)),
    ):
        quote = fabric.admission.quote(asked(inward, outward))
        assert (quote.fits, quote.largest_in_kbps, quote.largest_out_kbps) == (False, *largest)
        with pytest.raises(ResourceExhausted, match=r"\d Mbit/s in and \d+ Mbit/s out would fit"):
            fabric.apply([asked(inward, outward)])
        fabric.apply([asked(*largest)])
        fabric.apply([pipe])


def test_guarantee_that_bounds_others_is_not_given_up_where_those_do_not_fit(fabric: Fabric) -> None:
    """Of two guarantees the smaller counts; without it the larger does, and what is quoted then is nothing."""
    out = BandwidthPolicy(guarantee_out_kbps=30_000)
    fabric.apply(tenant("blue", {"a": (11, 4)}).values())
    fabric.apply([port("blue", "a", (11, 4), BandwidthPolicy(guarantee_in_kbps=150_000)),
                  port("blue", "b", (12, 4), out), port("blue", "c", (13, 4), out)])
    fabric.apply(everywhere("red", both(120_000)))
    without = port("blue", "c", (13, 4), BandwidthPolicy(traffic_class=TrafficClass.BULK))
    with pytest.raises(ResourceExhausted, match=r"/c what tenants/blue is guaranteed does not fit: no 75 Mbit"):
        fabric.apply([without])
    quote = fabric.admission.quote(without)
    assert (quote.fits, quote.largest_in_kbps, quote.largest_out_kbps) == (False, 0, 0)


def test_less_than_can_be_asked_for_is_not_said_to_fit(fabric: Fabric) -> None:
    """Below the least rate that a policy may have there is nothing to offer."""
    fabric.apply(everywhere("red", both(190_000 - MIN_RATE_KBPS)))
    fabric.apply(everywhere("blue", BandwidthPolicy()))
    assert fabric.admission.quote(alone("blue", both(100_000))).largest_in_kbps == MIN_RATE_KBPS
    fabric.apply([alone("red", both(190_000 - MIN_RATE_KBPS + 2))])
    assert fabric.admission.quote(alone("blue", both(100_000))).largest_in_kbps == 0
    with pytest.raises(ResourceExhausted, match="nothing would fit there"):
        fabric.apply([alone("blue", both(100_000))])


def _any_policy(random: Random) -> BandwidthPolicy:
    """Guarantees in some directions, ceilings above some of them, now and then a window with others."""
    def rates() -> dict[str, int]:
        found = {}
        for way in ("in", "out"):
            most = 2 * LINK_KBPS // random.choice([1, 4, 16])
            guarantee = random.choice([0, 0, random.randrange(MIN_RATE_KBPS, most)])
            found[f"guarantee_{way}_kbps"] = guarantee
            found[f"ceiling_{way}_kbps"] = random.choice([0, 0, 0, guarantee + random.randrange(MIN_RATE_KBPS, 50_000)])
        return found

    windows: tuple[Window, ...] = ()
    if random.random() < 0.2:
        when = Recurring(cron=f"0 {random.randrange(24)} * * *", duration_s=3_600 * random.randrange(1, 12))
        windows = (Window(when=when, rates=Rates(**rates())),)
    return BandwidthPolicy(
        **rates(), schedule=windows, on_failure=random.choice(list(OnFailure)),
        traffic_class=random.choice([TrafficClass.STANDARD, TrafficClass.STANDARD, TrafficClass.CRITICAL]))


@pytest.mark.parametrize("seed", [44, 63, 72, 136, 185])
def test_whatever_is_refused_is_quoted_alike_and_what_would_fit_does(fabric: Fabric, seed: int) -> None:
    """Policies of tenants, networks, ports and pipes that change at random, while links come and go."""
    random, n_refused = Random(seed), 0
    for name in ("red", "blue", "green"):
        fabric.apply(everywhere(name, BandwidthPolicy()))
        fabric.apply([Pipe(name=f"tenants/{name}/pipes/p", a=port_name(name, "a"), b=port_name(name, "b"))])
    having = sorted(obj.name for obj in fabric.intent.objects() if isinstance(obj, Guaranteed))
    for _ in range(25):
        if random.random() < 0.2:
            random.choice([fabric.link_lost, fabric.link_lost, fabric.link_seen])(random.choice(fabric.wires))
        if random.random() < 0.4:
            fabric.settle()
        obj = fabric.intent.get(random.choice(having))
        assert isinstance(obj, Guaranteed)
        asked = replace(obj, bandwidth=_any_policy(random))
        try:
            fabric.apply([asked])
        except PliantError as error:
            if error.reason != "GUARANTEE_DOES_NOT_FIT":
                continue
            n_refused += 1
            quote, told = fabric.admission.quote(asked), error.metadata
            worst = quote.shortfalls[:3]
            assert not quote.fits
            assert told["links"] == ",".join(each.link for each in worst)
            assert told["needed_kbps"] == ",".join(str(each.needed_kbps) for each in worst)
            assert told["left_kbps"] == ",".join(str(each.left_kbps) for each in worst)
            largest = quote.largest_in_kbps, quote.largest_out_kbps
            assert told.get("largest_guarantee_in_kbps", str(largest[0])) == str(largest[0])
            assert told.get("largest_guarantee_out_kbps", str(largest[1])) == str(largest[1])
            if any(largest):
                fabric.apply([replace(asked, bandwidth=scaled(asked.bandwidth, *largest))])
    assert n_refused
