"""Page sizes within bounds, and page tokens that only their own request can use."""

from __future__ import annotations

import base64

import pytest

from controller.model.errors import InvalidArgument
from controller.northbound.pages import Pager, Position, after, check_page_size

PAGER = Pager("secret")
POSITION = Position(7, "tenants/a/networks/n")
TOKEN = PAGER.issue(POSITION, "networks", "tenants/a", "")


@pytest.mark.parametrize(("asked", "used"), [(0, 100), (1, 1), (1_000, 1_000)])
def test_page_size_has_a_default(asked: int, used: int) -> None:
    """0 is the default of 100."""
    assert check_page_size(asked) == used


@pytest.mark.parametrize("asked", [-1, 1_001, -(2**31), 2**31 - 1])
def test_page_size_out_of_bounds_is_refused(asked: int) -> None:
    """Below 0 and above 1,000."""
    with pytest.raises(InvalidArgument) as caught:
        check_page_size(asked)
    assert (caught.value.reason, list(caught.value.fields)) == ("INVALID_PAGE_SIZE", ["page_size"])


def test_token_gives_its_position_back_to_its_request() -> None:
    """Also to a server that was started again with the same token file."""
    assert Pager("secret").read(TOKEN, "networks", "tenants/a", "") == POSITION
    assert PAGER.read("", "networks", "tenants/a", "") is None


@pytest.mark.parametrize(
    "request_",
    [("ports", "tenants/a", ""), ("networks", "tenants/b", ""), ("networks", "tenants/a", "state = ACTIVE"),
     ("networks", "tenants/a\0", "")],
)
def test_token_is_refused_for_another_request(request_: tuple[str, ...]) -> None:
    """Kind, parent and filter are bound."""
    with pytest.raises(InvalidArgument) as caught:
        PAGER.read(TOKEN, *request_)
    assert caught.value.reason == "INVALID_PAGE_TOKEN"


def tampered() -> list[str]:
    raw = bytearray(base64.urlsafe_b64decode(TOKEN))
    flipped = []
    for index in range(len(raw)):
        raw[index] ^= 1
        flipped.append(base64.urlsafe_b64encode(raw).decode())
        raw[index] ^= 1
    return flipped


@pytest.mark.parametrize(
    "token",
    [*tampered(), TOKEN[:-4], TOKEN + "AAAA", "x", "AAAA", "not base64!", "é", TOKEN * 1_000,
     Pager("other").issue(POSITION, "networks", "tenants/a", "")],
)
def test_tampered_token_is_refused(token: str) -> None:
    """Any bit flipped, cut, extended, made up, or from another server."""
    with pytest.raises(InvalidArgument) as caught:
        PAGER.read(token, "networks", "tenants/a", "")
    assert (caught.value.reason, list(caught.value.fields)) == ("INVALID_PAGE_TOKEN", ["page_token"])


def test_next_page_starts_behind_the_last_name() -> None:
    """Also if that name is gone meanwhile."""
    names = ["a", "b", "d"]
    assert after(names, None) == names
    assert after(names, Position(1, "b")) == ["d"]
    assert after(names, Position(1, "c")) == ["d"]
    assert after(names, Position(1, "d")) == []
