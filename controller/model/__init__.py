"""Layer 0, the nouns: frozen values that every other package speaks.  Knows no I/O, no clock, no OpenFlow."""
