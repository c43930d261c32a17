"""pliantd: the process, and its os-ken applications, one per module."""
