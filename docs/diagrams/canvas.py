"""A drawing as the text of an SVG file: boxes, arrows and words, in pixels from the upper left."""

from html import escape

INK, GREY, PALE = "#222222", "#777777", "#F4F4F4"
BLUE, ORANGE, GREEN, SKY = "#0072B2", "#C44E00", "#007A5A", "#56B4E9"
HEADS = (INK, GREY, BLUE, ORANGE, GREEN)


class Canvas:
    """Lines of SVG on a white ground; `title` is what a screen reader says."""

    def __init__(self, width, height, title):
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]
        for number, ink in enumerate(HEADS):
            self.lines.append(
                f'<marker id="head{number}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
                f'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="{ink}"/></marker>'
            )

    def text(self, x, y, words, ink=INK, size=15, anchor="middle", weight="normal"):
        """Words in one or several lines, centred on (x, y) from top to bottom."""
        rows = words.split("\n")
        top = y - (len(rows) - 1) * size * 0.62 + size * 0.35
        for number, row in enumerate(rows):
            self.lines.append(
                f'<text x="{x:g}" y="{top + number * size * 1.24:.1f}" fill="{ink}" '
                f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}">'
                f"{escape(row)}</text>"
            )

    def box(self, x, y, width, height, words="", ink=INK, fill="white", size=15, dashed=False):
        """A box centred on (x, y) with words in it."""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.lines.append(
            f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" '
            f'height="{height:g}" rx="7" fill="{fill}" stroke="{ink}" stroke-width="1.6"{dashes}/>'
        )
        if words:
            self.text(x, y, words, INK, size)

    def cell(self, x, y, side, fill, ink="white", line=1.0):
        """A square with its upper left corner at (x, y)."""
        self.lines.append(
            f'<rect x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" fill="{fill}" '
            f'stroke="{ink}" stroke-width="{line:g}"/>'
        )

    def arrow(self, *points, ink=INK, line=1.8, dashed=False, head=True):
        """A line through points (x, y), with a head at its end."""
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        end = f' marker-end="url(#head{HEADS.index(ink)})"' if head else ""
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.lines.append(
            f'<path d="{path}" fill="none" stroke="{ink}" stroke-width="{line:g}"{end}{dashes}/>'
        )

    def dot(self, x, y, words, ink=INK):
        """A circle with a sign in it, such as a plus."""
        self.lines.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="13" fill="white" stroke="{ink}" stroke-width="1.6"/>'
        )
        self.text(x, y, words, ink, 18)

    def svg(self):
        """The whole file as text."""
        return "\n".join([*self.lines, "</svg>"]) + "\n"
