"""The `pliant` command: kubectl's grammar over pliant.Client.  Imports nothing of controller/."""
