"""Rates: every spelling people use, and nothing that could mean something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.cli.rates import format_rate, parse_rate


@pytest.mark.parametrize(
    ("text", "rate_kbps"),
    [
        ("64kbps", 64),
        ("64Kbps", 64),
        ("64k", 64),
        ("10M", 10_000),
        ("10m", 10_000),
        ("10Mbps", 10_000),
        ("10mbps", 10_000),
        ("100Mbit/s", 100_000),
        ("100 Mbit/s", 100_000),
        ("100Mbit", 100_000),
        ("100Mbitps", 100_000),
        ("100Mb/s", 100_000),
        ("2.5Gbit/s", 2_500_000),
        ("2.5 Gbit/s", 2_500_000),
        (".5G", 500_000),
        ("0.001M", 1),
        (" 1g ", 1_000_000),
        ("400Gbps", 400_000_000),
        ("none", 0),
    ],
)
def test_rate_is_read_as_written(text: str, rate_kbps: int) -> None:
    """Bits per second, decimal multiples."""
    assert parse_rate(text) == rate_kbps


@pytest.mark.parametrize(
    "text",
    ["", "10", "fast", "-5M", "1e3M", "10MB", "10MB/s", "10Mibit/s", "10 Mbit/s each", "M", "0.5k", "1.0001M", "1..5M",
     "10T", "١٠M", "10Mbps;"],
)
def test_rate_without_a_sure_meaning_is_refused(text: str) -> None:
    """No unit, bytes, fractions of a kbit/s."""
    with pytest.raises(ValueError):
        parse_rate(text)


@pytest.mark.parametrize("text", ["0", "0M", "0.0Gbps"])
def test_rate_of_zero_is_refused(text: str) -> None:
    """It could mean that nothing is limited, or that nothing passes."""
    with pytest.raises(ValueError, match="write none if there is to be none"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("rate_kbps", "text"),
    [(0, "-"), (1, "1 kbit/s"), (999, "999 kbit/s"), (1_000, "1 Mbit/s"), (1_500, "1.5 Mbit/s"),
     (100_000, "100 Mbit/s"), (2_500_000, "2.5 Gbit/s"), (1_000_001, "1.000001 Gbit/s"), (400_000_000, "400 Gbit/s")],
)
def test_rate_is_written_in_the_largest_unit_that_fits(rate_kbps: int, text: str) -> None:
    """Without rounding."""
    assert format_rate(rate_kbps) == text


@given(st.integers(1, 400_000_000))
def test_rate_survives_writing_and_reading(rate_kbps: int) -> None:
    """So that get -o yaml | apply changes nothing."""
    assert parse_rate(format_rate(rate_kbps)) == rate_kbps
