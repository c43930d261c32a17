"""Errors on the wire: one ErrorInfo, the standard detail of the kind, and never more than a header can carry."""

from __future__ import annotations

import base64

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from controller.model import errors
from controller.model.errors import PliantError
from controller.northbound.errors import MAX_MESSAGE_CHARS, status_of

KINDS = sorted(PliantError.__subclasses__(), key=lambda kind: kind.__name__)


def details(status: status_pb2.Status, kind: type) -> list:  # type: ignore[type-arg]
    found = []
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            found.append(message)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_its_grpc_code_and_one_error_info(kind: type[PliantError]) -> None:
    """The class gives the code; reason, domain and resource are for programs."""
    status = status_of(kind("NOT_FOUND", "it is gone", subject="tenants/a", metadata={"k": "v"}))
    assert status.code == grpc.StatusCode[kind.code].value[0]
    assert status.message == "it is gone"
    (info,) = details(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == ("NOT_FOUND", "pliant")
    assert dict(info.metadata) == {"k": "v", "resource": "tenants/a"}


@pytest.mark.parametrize("reason", sorted(errors.REASONS))
def test_every_registered_reason_reaches_the_client(reason: str) -> None:
    """As it is, in the ErrorInfo."""
    (info,) = details(status_of(errors.InvalidArgument(reason, "x")), error_details_pb2.ErrorInfo)
    assert info.reason == reason


def test_field_violations_become_a_bad_request() -> None:
    """Each field with what is wrong with it."""
    error = errors.InvalidArgument("INVALID_FIELD", "two things", fields={"a.b[0]": "one", "c": "other"})
    (bad,) = details(status_of(error), error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in bad.field_violations] == [("a.b[0]", "one"), ("c", "other")]


def test_failed_precondition_and_quota_have_their_own_details() -> None:
    """What stands in the way, and what is used up."""
    status = status_of(errors.FailedPrecondition("HAS_CHILDREN", "3 ports left", subject="tenants/a"))
    (failure,) = details(status, error_details_pb2.PreconditionFailure)
    assert (failure.violations[0].type, failure.violations[0].subject) == ("HAS_CHILDREN", "tenants/a")
    status = status_of(errors.ResourceExhausted("QUOTA_EXCEEDED", "10 ports", subject="tenants/a"))
    (quota,) = details(status, error_details_pb2.QuotaFailure)
    assert (quota.violations[0].subject, quota.violations[0].description) == ("tenants/a", "10 ports")


def test_huge_errors_fit_a_header() -> None:
    """Peers refuse headers of more than 8 kB, and then the client would see nothing."""
    fields = {f"f{n}" * 1_000: "y" * 1_000 for n in range(1_000)}
    error = errors.FailedPrecondition("HAS_CHILDREN", "x" * 100_000, subject="s" * 100_000, fields=fields)
    assert len(base64.b64encode(status_of(error).SerializeToString())) + MAX_MESSAGE_CHARS < 8 << 10
