// What every part of the page is made of.

export const find = (id) => document.getElementById(id);

export function make(name, attributes = {}, ...children) {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
}

export function percent(share) {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

// Shows the patch of a code in an element of `size` CSS pixels.
export function showPatch(element, level, code, size) {
  const rows = Math.ceil(level.codes / level.columns), { style } = element;
  style.width = style.height = `${size}px`;
  style.backgroundImage = `url(${level.patches})`;
  style.backgroundSize = `${level.columns * size}px ${rows * size}px`;
  const [row, column] = [Math.floor(code / level.columns), code % level.columns];
  style.backgroundPosition = `${-column * size}px ${-row * size}px`;
}
