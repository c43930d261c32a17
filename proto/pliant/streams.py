"""Streaming methods as iterators that go on where they broke."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, Self, TypeVar, cast

import grpc
from google.protobuf.message import Message

from pliant.connection import RETRY_DELAYS_S, Connection
from pliant.errors import ApiError, api_error
from pliant.v1 import watch_pb2, watch_pb2_grpc

E = TypeVar("E", bound=Message)


class Stream(Generic[E]):
    """An iterator of what a streaming method sends that outlives restarts of the controller.  Close it to stop."""

    def __init__(self, connection: Connection, method: Callable[..., Any], request: Message) -> None:
        self._connection, self._method, self._request = connection, method, request
        self._closed = threading.Event()
        self._failures = 0
        self._call = self._open()

    def _open(self) -> Any:
        return self._method(self._request, metadata=self._connection.metadata)

    def _received(self, message: E) -> None:
        """Note what the next call has to know."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> E:
        while not self._closed.is_set():
            try:
                message = cast(E, next(self._call))
            except StopIteration:
                self._call = self._open()
            except grpc.RpcError as error:
                self._recover(api_error(error))
            else:
                self._failures = 0
                self._received(message)
                return message
        raise StopIteration

    def _recover(self, error: ApiError) -> None:
        if self._closed.is_set():
            return
        cut = error.reason == "SLOW_WATCHER"
        if not cut and (error.code is not grpc.StatusCode.UNAVAILABLE or self._failures >= len(RETRY_DELAYS_S)):
            raise error
        if not cut:
            self._closed.wait(RETRY_DELAYS_S[self._failures])
            self._failures += 1
        self._call = self._open()

    def close(self) -> None:
        """End the iteration, also one that another thread waits in."""
        self._closed.set()
        with suppress(grpc.RpcError):
            self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Watch(Stream[watch_pb2.WatchResponse]):
    """Events, without a gap: after a cut it goes on behind the last one."""

    _request: watch_pb2.WatchRequest

    def __init__(self, connection: Connection, request: watch_pb2.WatchRequest) -> None:
        super().__init__(connection, watch_pb2_grpc.WatchServiceStub(connection.channel).Watch, request)

    @property
    def resume_token(self) -> str:
        """Where a later watch goes on."""
        return self._request.resume_token

    def _received(self, message: watch_pb2.WatchResponse) -> None:
        self._request.resume_token = message.resume_token or self._request.resume_token
