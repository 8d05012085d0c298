"""Settings of all tests."""

import backends  # noqa: F401  (before NumPy: it decides how thread pools wait)
