"""The agenda against the schedules themselves: whatever the clock does, what is in force is what should be."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, Interval, Rates, Recurring, Window
from controller.qos.schedule import open_window
from controller.reconcile.agenda import Agenda

DAY_S = 86_400.0
NIGHT, SALE, HOURLY = (Rates(ceiling_out_kbps=kbps) for kbps in (1_000, 2_000, 3_000))
POLICIES = (
    NO_POLICY,
    BandwidthPolicy(ceiling_out_kbps=500),
    BandwidthPolicy(schedule=(Window(when=Interval(start_s=2 * DAY_S, end_s=3 * DAY_S), rates=SALE),)),
    BandwidthPolicy(schedule=(
        Window(when=Interval(start_s=2.25 * DAY_S, end_s=2.75 * DAY_S), rates=SALE),
        Window(when=Recurring(cron="0 22 * * *", duration_s=8 * 3_600), rates=NIGHT),
    )),
    BandwidthPolicy(schedule=(Window(when=Recurring(cron="*/30 * * * *", duration_s=600), rates=HOURLY),)),
    BandwidthPolicy(schedule=(Window(when=Recurring(cron="* * * * *", duration_s=60), rates=HOURLY),)),
)
events = st.one_of(
    st.tuples(st.sampled_from("abc"), st.integers(0, len(POLICIES) - 1)),
    st.sampled_from((0.05, 1.0, 60.0, 599.5, 1_800.0, DAY_S, 40 * DAY_S, -0.05, -700.0, -DAY_S)),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(events, min_size=1, max_size=30))
def test_agenda_has_in_force_what_schedules_say_whatever_the_clock_does(
    course: list[tuple[str, int] | float],
) -> None:
    """Objects come, change and go; time passes, jumps by days, and is set back.  Each answer is a change, and all are.
    """
    agenda, now_s = Agenda(), 2 * DAY_S
    policies: dict[str, BandwidthPolicy] = {}
    in_force: dict[str, Rates] = {}
    assert agenda.advance(now_s) == {}
    for event in course:
        if isinstance(event, float):
            now_s += event
            changed = agenda.advance(now_s)
        else:
            name, number = event
            policies[name] = POLICIES[number]
            changed = agenda.put({name: POLICIES[number]})
        for name, rates in changed.items():
            assert rates != in_force.get(name), "nothing is told twice"
            in_force |= {name: rates} if rates is not None else {}
            if rates is None:
                del in_force[name]
        windows = {name: open_window(policy, now_s) for name, policy in policies.items()}
        assert in_force == {name: window.rates for name, window in windows.items() if window is not None}


def test_agenda_costs_a_boundary_what_is_due_and_not_what_is_known() -> None:
    """Ten thousand objects with a schedule: of a thousand ticks one looks at one of them."""
    agenda = Agenda()
    agenda.advance(DAY_S)
    yearly = BandwidthPolicy(schedule=(Window(when=Interval(start_s=90 * DAY_S, end_s=91 * DAY_S), rates=SALE),))
    agenda.put({f"tenants/t{i}": yearly for i in range(10_000)})
    soon = BandwidthPolicy(schedule=(Window(when=Interval(start_s=2 * DAY_S, end_s=3 * DAY_S), rates=NIGHT),))
    agenda.put({"tenants/soon": soon})
    changed = [agenda.advance(DAY_S + i * DAY_S / 1_000) for i in range(1, 1_001)]
    assert [found for found in changed if found] == [{"tenants/soon": NIGHT}]
    assert {name for name, look in agenda._looks.items() if look.since_s > DAY_S} == {"tenants/soon"}


def test_agenda_of_an_object_that_changes_all_the_time_does_not_grow() -> None:
    """Whatever is outdated is forgotten before its time has come."""
    agenda = Agenda()
    agenda.advance(DAY_S)
    for i in range(5_000):
        window = Window(when=Interval(start_s=10 * DAY_S + i, end_s=11 * DAY_S), rates=SALE)
        agenda.put({"tenants/busy": BandwidthPolicy(schedule=(window,))})
    assert len(agenda._due) < 100
    assert agenda.advance(10.5 * DAY_S) == {"tenants/busy": SALE}
