"""The lab: a fabric of real Open vSwitch in a private place, for the demo, for trying things out, and for the tests."""
