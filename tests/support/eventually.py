"""How a test waits: the lab's own way, under the name that the tests use."""

from apps.lab.wait import eventually

__all__ = ["eventually"]
