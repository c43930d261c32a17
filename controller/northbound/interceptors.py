"""What surrounds every call: request id and log, metrics, errors, token.  One wrapper, in that order.

A call is refused with INFO (its caller erred) or fails with ERROR and an incident id (we erred): the client gets the
id, the log the traceback.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc.aio import ServicerContext
from prometheus_client import Counter, Histogram

from controller.model.errors import Internal, InvalidArgument, PliantError
from controller.northbound.auth import check_bearer
from controller.northbound.errors import abort

log = structlog.get_logger()

CALLS = Counter("pliant_calls_total", "gRPC calls answered.", ["method", "code"])
SECONDS = Histogram(
    "pliant_call_seconds",
    "Time from a call to its answer; streams are not in it.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
OPEN_METHODS = ("/grpc.health.", "/grpc.reflection.")
"""Whether we live and what we speak is no secret: these need no token, and are neither logged nor measured."""
REQUEST_ID_HEADER = "x-request-id"


class Surround(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Wraps every method.  `token` is asked of whoever does not come through the unix socket."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        method: str = details.method
        handler = await continuation(details)
        if handler is None or method.startswith(OPEN_METHODS):
            return handler
        assert not handler.request_streaming, f"{method} streams requests, which nothing here guards"
        # Without a deserializer the request comes as bytes: read only once the token is checked, and with our errors.
        coder = {"response_serializer": handler.response_serializer}
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, handler), **coder)
        return grpc.unary_unary_rpc_method_handler(self._unary(method, handler), **coder)

    def _unary(self, method: str, handler: grpc.RpcMethodHandler) -> Callable[..., Any]:
        seconds = SECONDS.labels(method)

        async def call(request: bytes, context: ServicerContext) -> Any:
            started_s = time.perf_counter()
            try:
                async with self._observed(method, context):
                    return await handler.unary_unary(_read(request, handler), context)
            finally:
                seconds.observe(time.perf_counter() - started_s)

        return call

    def _stream(self, method: str, handler: grpc.RpcMethodHandler) -> Callable[..., Any]:
        async def call(request: bytes, context: ServicerContext) -> AsyncIterator[Any]:
            async with self._observed(method, context):
                async for response in handler.unary_stream(_read(request, handler), context):
                    yield response

        return call

    @asynccontextmanager
    async def _observed(self, method: str, context: ServicerContext) -> AsyncIterator[None]:
        metadata = dict(context.invocation_metadata() or ())
        call_id = str(metadata.get(REQUEST_ID_HEADER, ""))[:64] or secrets.token_hex(8)
        bound = log.bind(method=method.rpartition("/")[2], call=call_id, peer=context.peer())
        code = "OK"
        try:
            if not context.peer().startswith("unix:"):
                check_bearer(str(metadata.get("authorization", "")), self._token)
            yield
        except PliantError as error:
            code = error.code
            bound.info("call_refused", reason=error.reason, message=error.message)
            await abort(context, error)
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception as error:
            code, incident = "INTERNAL", secrets.token_hex(6)
            bound.exception("call_failed", incident=incident)
            message = f"the controller met a defect of its own; its log has the details under incident {incident}"
            await abort(context, Internal("INTERNAL", message, metadata={"incident": incident}))
            raise AssertionError("unreachable") from error
        finally:
            CALLS.labels(method, code).inc()
            bound.debug("call_answered", code=code)


def _read(request: bytes, handler: grpc.RpcMethodHandler) -> Any:
    try:
        return handler.request_deserializer(request)
    except DecodeError as error:
        raise InvalidArgument("MALFORMED_REQUEST", f"the request cannot be read: {error}") from error
