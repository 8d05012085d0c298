"""What people look at: picture grids, curves, a self-contained HTML page, terminal tables."""

from vqv2.report.curves import Panel, save_curves
from vqv2.report.grid import save_image_grid
from vqv2.report.page import Section, Table, format_table, save_page

__all__ = [
    "Panel",
    "Section",
    "Table",
    "format_table",
    "save_curves",
    "save_image_grid",
    "save_page",
]
