"""What makes the book of docs/, lessons, exercises and docstrings: extensions of Sphinx."""
