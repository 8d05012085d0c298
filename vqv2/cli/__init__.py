"""The command `vqv2`: `main.py`, and one file per command with its arguments and few calls.

What several commands share is in `arguments` (reading them), `settings` and `training` (what every
training takes), `drawn` (what every sampling takes), `processes` and `overview`.
"""
