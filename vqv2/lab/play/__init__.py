"""A page on which one sees a hierarchy think: codes drawn one by one, edited, and explained."""

from vqv2.lab.play.server import PlayServer
from vqv2.lab.play.session import Session

__all__ = ["PlayServer", "Session"]
