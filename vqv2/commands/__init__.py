"""One file per command: its arguments and help, and the few calls that it makes."""
