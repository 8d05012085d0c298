"""What people look at: curves, and a self-contained HTML page with tables."""

from vqv2.lab.report.curves import Panel, save_curves
from vqv2.lab.report.page import Section, Table, save_page

__all__ = [
    "Panel",
    "Section",
    "Table",
    "save_curves",
    "save_page",
]
