"""How fast Pliant is: figures on real Open vSwitch, printed as tables.  `make bench`; nothing here is a test."""
