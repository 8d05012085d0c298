// The codes of a level as what they decode to, the most used first, to choose one by hand.

import { find, make, percent, showPatch } from "./elements.js";

export class Codebook {
  // choose(code) is called for a code that is chosen, changed() when another level is shown.
  constructor(levels, choose, changed) {
    Object.assign(this, { levels, choose, shown: 0 });
    levels.forEach((level, place) => {
      const input = make("input", { type: "radio", name: "codebook" });
      input.addEventListener("change", () => {
        this.show(place);
        changed();
      });
      find("tabs").append(make("label", {}, input, `${level.name} (${level.codes} codes)`));
    });
    find("tabs").hidden = levels.length === 1;
    find("codebook").addEventListener("keydown", (event) => this.move(event));
    this.show(0);
  }

  show(place) {
    this.shown = place;
    const level = this.levels[place];
    find("tabs").querySelectorAll("input")[place].checked = true;
    find("codebook").setAttribute("aria-label", `Codes of ${level.name}, most used first`);
    find("codebook").replaceChildren(...level.by_use.map((code) => this.button(level, code)));
    find("codebook").children[0].tabIndex = 0;
  }

  button(level, code) {
    const title = `code ${code}, ${percent(level.shares[code])} of training`;
    const button = make("button", { type: "button", className: "patch", title, tabIndex: -1 });
    button.setAttribute("aria-label", title);
    showPatch(button, level, code, 36);
    button.addEventListener("click", () => this.choose(code));
    return button;
  }

  // Codes can be chosen where there is a place for them.
  enable(enabled) {
    for (const button of find("codebook").children) button.disabled = !enabled;
  }

  // The arrow keys move through the codes, which are one stop of the Tab key.
  move(event) {
    const buttons = [...find("codebook").children];
    const place = buttons.indexOf(document.activeElement);
    const below = buttons.findIndex((button) => button.offsetTop > buttons[0].offsetTop);
    const across = below < 0 ? buttons.length : below;
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
    const next = buttons[place + moves[event.key]];
    if (!next) return;
    buttons[place].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
    event.preventDefault();
  }
}
