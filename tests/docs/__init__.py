"""The documentation, followed word by word."""
