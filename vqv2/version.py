"""Which vqv2 this is; setup.cfg reads it from here."""

__version__ = "0.1.0"
