"""Queues on switch ports, by two ways: OVSDB rows (ovsdb.py), and the kernel's traffic control (tc.py).

tree.py says which classes, leaves and filters make a port's queues, changes.py what is to be changed to have them;
messages.py is their form as pyroute2's messages, layouts.py what these lack, answers.py what the kernel says of them,
netlink.py the conversation.  rows.py says the same of OVSDB's rows.  probe.py chooses which way works on a switch.
"""
