"""From the desired program to what a switch holds.

delta, plan, session and status are pure decisions; engine keeps the world and compiles incrementally (pure too);
loop owns the reconcile thread, and is the only module here with clocks and threads.
"""
