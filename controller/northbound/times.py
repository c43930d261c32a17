"""Times between messages and model: seconds since 1970, and durations."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def timestamp(time_s: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMicroseconds(round(time_s * 1_000_000))
    return stamp


def time_s_of(stamp: Timestamp) -> float:
    return float(stamp.seconds + stamp.nanos / 1e9)


def duration(microseconds: int) -> Duration:
    message = Duration()
    message.FromMicroseconds(microseconds)
    return message


def nanoseconds_of(message: Duration) -> int:
    """Exact, also for what no client library would make: nanos beyond a second, or of another sign."""
    return int(message.seconds) * 1_000_000_000 + int(message.nanos)
