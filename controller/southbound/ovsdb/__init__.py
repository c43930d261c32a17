"""OVSDB: the configuration database of Open vSwitch, for what OpenFlow cannot say.

framing and rows are pure; connection is one JSON-RPC peer; database keeps a copy of a server's rows, for as long as it
takes; tables says which columns are read; bfd decides, and liveness performs, the watch over the fabric's links, save
those where BFD was wrong (doubts).
"""
