"""Pliant's controller: intent + fabric -> compile -> program -> delta -> plan -> apply.

ARCHITECTURE.md draws the layers; tests/unit/test_layers.py enforces them.
"""
