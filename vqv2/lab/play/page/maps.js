// A map of codes on a canvas: each code in the colour that it decodes to, a rectangle to select.

export class CodeMap {
  constructor(level, selected) {
    this.level = level;
    this.selected = selected; // called when the selection changes, or a key acts on it
    this.codes = new Array(level.size ** 2).fill(-1);
    this.next = null;
    this.selection = null; // {top, left, bottom, right}, the last two excluded
    this.anchor = null;
    this.cursor = [0, 0];
    this.canvas = document.createElement("canvas");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "map of codes");
    this.canvas.setAttribute("aria-describedby", "how-to-select");
    this.listen();
    // As many pixels as the screen has there: every line is then equally thin.
    new ResizeObserver(() => {
      const side = Math.round(this.canvas.clientWidth * devicePixelRatio);
      if (side && side !== this.canvas.width) this.canvas.width = this.canvas.height = side;
      this.draw();
    }).observe(this.canvas);
  }

  // Where a row or column begins, in pixels of the canvas.
  edge(place) {
    return Math.round((place * this.canvas.width) / this.level.size);
  }

  show(codes, next) {
    this.codes = codes;
    this.next = next;
    this.draw();
  }

  select(selection) {
    this.selection = selection;
    this.draw();
  }

  decided() {
    return this.codes.reduce((count, code) => count + (code >= 0), 0);
  }

  draw() {
    const { level } = this, pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.codes.forEach((code, place) => {
      if (code < 0) return;
      pen.fillStyle = `rgb(${level.colours[code].join(" ")})`;
      pen.fillRect(...this.area(box(Math.floor(place / level.size), place % level.size)));
    });
    this.lines(pen);
    if (this.next) this.frame(pen, box(this.next.row, this.next.column), "--accent");
    if (this.selection) this.frame(pen, this.selection, "--mark");
    this.describe();
  }

  // x, y, width and height of a box, in pixels of the canvas.
  area({ top, left, bottom, right }) {
    const [x, y] = [this.edge(left), this.edge(top)];
    return [x, y, this.edge(right) - x, this.edge(bottom) - y];
  }

  lines(pen) {
    if (this.edge(1) < 6) return;
    pen.fillStyle = "rgb(128 128 128 / 0.2)";
    for (let i = 1; i < this.level.size; i++) {
      pen.fillRect(this.edge(i), 0, 1, this.canvas.height);
      pen.fillRect(0, this.edge(i), this.canvas.width, 1);
    }
  }

  frame(pen, place, colour) {
    const width = Math.max(2, Math.round(2.5 * devicePixelRatio));
    const inset = (by) => {
      const [x, y, w, h] = this.area(place);
      return [x + by, y + by, w - 2 * by, h - 2 * by];
    };
    pen.lineWidth = width;
    pen.strokeStyle = "white";
    pen.strokeRect(...inset(1.5 * width));
    pen.strokeStyle = getComputedStyle(this.canvas).getPropertyValue(colour);
    pen.strokeRect(...inset(width / 2));
  }

  describe() {
    const [row, column] = this.cursor, code = this.codes[row * this.level.size + column];
    const size = this.level.size;
    this.canvas.setAttribute(
      "aria-label",
      `${this.level.name} map, ${size} by ${size}, ${this.decided()} decided. ` +
        `Row ${row + 1}, column ${column + 1}: ${code < 0 ? "no code" : `code ${code}`}`,
    );
  }

  at(event) {
    const area = this.canvas.getBoundingClientRect(), { size } = this.level;
    const of = (where, length) => Math.floor((where / length) * size);
    const inside = (place) => Math.min(size - 1, Math.max(0, place));
    return [
      inside(of(event.clientY - area.top, area.height)),
      inside(of(event.clientX - area.left, area.width)),
    ];
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      this.anchor = this.cursor = this.at(event);
      this.extend();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) {
        const [row, column] = this.at(event), code = this.codes[row * this.level.size + column];
        canvas.title = code < 0 ? "no code yet" : `code ${code}`;
        return;
      }
      this.cursor = this.at(event);
      this.extend();
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key in move) {
      const inside = (place) => Math.min(this.level.size - 1, Math.max(0, place));
      this.cursor = this.cursor.map((place, axis) => inside(place + move[event.key][axis]));
      if (!event.shiftKey || !this.anchor) this.anchor = this.cursor;
      this.extend();
    } else if (["Delete", "Backspace", "Enter", "Escape"].includes(event.key)) {
      this.selected(this, event.key);
    } else {
      return;
    }
    event.preventDefault();
  }

  extend() {
    const [[a, b], [c, d]] = [this.anchor, this.cursor];
    this.selection = {
      top: Math.min(a, c), left: Math.min(b, d), bottom: Math.max(a, c) + 1, right: Math.max(b, d) + 1,
    };
    this.draw();
    this.selected(this, null);
  }
}

function box(row, column) {
  return { top: row, left: column, bottom: row + 1, right: column + 1 };
}

// A canvas of numbers (rows of them) from 0 to `most`, dark to light.
export function heatMap(rows, most) {
  const canvas = document.createElement("canvas");
  canvas.width = rows[0].length;
  canvas.height = rows.length;
  const pen = canvas.getContext("2d");
  rows.forEach((row, y) =>
    row.forEach((value, x) => {
      pen.fillStyle = `rgb(${heat(Math.min(1, value / most)).map((c) => Math.round(255 * c)).join(" ")})`;
      pen.fillRect(x, y, 1, 1);
    }),
  );
  return canvas;
}

const HEAT = [[0.04, 0.03, 0.1], [0.34, 0.09, 0.43], [0.79, 0.26, 0.31], [0.98, 0.62, 0.16], [1, 1, 0.75]];

function heat(value) {
  const place = value * (HEAT.length - 1), low = Math.min(HEAT.length - 2, Math.floor(place));
  return HEAT[low].map((c, i) => c + (HEAT[low + 1][i] - c) * (place - low));
}
