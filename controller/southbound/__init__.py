"""The switches: OpenFlow 1.3 connections as os-ken applications and the reconcile loop see them.

osken repairs os-ken and is the only place that imports it under a repaired name; framing and transactions are pure;
datapath is one connection; guard keeps an application alive; runtime is the I/O loop with its listeners.
"""
