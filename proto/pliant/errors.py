"""What a failed call raises: the server's google.rpc.Status, opened."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.rpc import error_details_pb2, status_pb2

_DETAILS_KEY = "grpc-status-details-bin"


class ApiError(Exception):
    """A call that the server, or the way to it, refused.

    `code` is gRPC's, `reason` the stable name of the cause ("" if no Pliant server answered), `fields` says for each
    request field what is wrong with it, `metadata` holds what a program may want to know of the cause.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.fields = dict(fields or {})
        self.metadata = dict(metadata or {})

    def __str__(self) -> str:
        return f"{self.message} ({self.reason or self.code.name})"


def api_error(error: grpc.RpcError) -> ApiError:
    """The ApiError that says what a failed call's trailing metadata says."""
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            status.ParseFromString(value)
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad_request)
    return ApiError(
        error.code(),
        status.message or error.details() or error.code().name,
        reason=info.reason,
        fields={violation.field: violation.description for violation in bad_request.field_violations},
        metadata=info.metadata,
    )
