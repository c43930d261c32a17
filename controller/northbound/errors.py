"""PliantError -> google.rpc.Status: exactly one ErrorInfo, and the standard detail of its kind."""

from __future__ import annotations

from typing import NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from controller.model.errors import FailedPrecondition, PliantError, ResourceExhausted

DOMAIN = "pliant"
DETAILS_KEY = "grpc-status-details-bin"
MAX_MESSAGE_CHARS = 600
MAX_TEXT_CHARS = 200
"""Of anything else.  A status travels in HTTP/2 headers, in base64, and peers hold all headers to 8 kB."""
MAX_VIOLATIONS = 5


def status_of(error: PliantError) -> status_pb2.Status:
    """The error as a client reads it.  The subject, if there is one, is metadata["resource"]."""
    message = _short(error.message, MAX_MESSAGE_CHARS)
    metadata = {key: _short(value) for key, value in error.metadata.items()}
    if error.subject:
        metadata.setdefault("resource", _short(error.subject))
    details: list[Message] = [
        error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)
    ]
    if error.fields:
        shown = list(error.fields.items())[:MAX_VIOLATIONS]
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=_short(field), description=_short(what))
            for field, what in shown
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    if isinstance(error, FailedPrecondition):
        failure = error_details_pb2.PreconditionFailure()
        failure.violations.add(type=error.reason, subject=_short(error.subject), description=message)
        details.append(failure)
    if isinstance(error, ResourceExhausted):
        quota = error_details_pb2.QuotaFailure()
        quota.violations.add(subject=_short(error.subject), description=message)
        details.append(quota)
    status = status_pb2.Status(code=code_pb2.Code.Value(error.code), message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


async def abort(context: grpc.aio.ServicerContext, error: PliantError) -> NoReturn:
    """End the call with the error."""
    status = status_of(error)
    await context.abort(
        grpc.StatusCode[error.code],
        status.message,
        trailing_metadata=((DETAILS_KEY, status.SerializeToString()),),
    )
    raise AssertionError("unreachable: abort raises")


def _short(text: str, chars: int = MAX_TEXT_CHARS) -> str:
    return text if len(text) <= chars else f"{text[: chars - 3]}..."
