"""Exercises that check themselves: `python -m examples.exercises` lists them."""
