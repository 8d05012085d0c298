"""One file per command: its arguments and help, and the few calls that it makes.

What several commands share is in `arguments` (reading them) and `skipped` (telling what was left
out).
"""
