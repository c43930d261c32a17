"""A channel with a token: one place where calls are sent, sent again, and their errors translated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from pliant.errors import api_error

RETRY_DELAYS_S = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Pauses before a call that met UNAVAILABLE is sent again: what a restart of the controller takes, and some."""
MAX_MESSAGE_BYTES = 64 << 20
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # While a channel holds off, every call on it fails at once: by gRPC's defaults up to two minutes after we are back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Connection:
    def __init__(
        self, target: str, token: str, credentials: grpc.ChannelCredentials | None, timeout_s: float
    ) -> None:
        if credentials is None:
            self.channel = grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        else:
            self.channel = grpc.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self.timeout_s = timeout_s

    def call(self, method: Callable[..., Any], request: Message) -> Any:
        """Send a unary call; again after UNAVAILABLE.  Every request sent here is safe to repeat."""
        deadline_s = time.monotonic() + self.timeout_s
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                remaining_s = max(deadline_s - time.monotonic(), 0.001)
                return method(request, timeout=remaining_s, metadata=self.metadata)
            except grpc.RpcError as error:
                gone = error.code() is grpc.StatusCode.UNAVAILABLE
                if not gone or delay_s is None or time.monotonic() + delay_s > deadline_s:
                    raise api_error(error) from None
                time.sleep(delay_s)
        raise AssertionError("unreachable: the last delay is None")
