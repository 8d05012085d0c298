// What each level says of an image, what is lost, and what surprises the priors.

import { make } from "./elements.js";
import { heatMap } from "./maps.js";

export function inspectionOf(view, model) {
  const rows = [];
  const images = view.subsets.map((subset) =>
    figure(make("img", { src: subset.image, alt: "" }),
      subset.levels.length === 1 && model.levels.length > 1 ? `${subset.levels[0]} alone` : subset.levels.join(" + "),
      subset.psnr === undefined ? "" : `${subset.psnr.toFixed(1)} dB`));
  if (view.original) {
    images.unshift(figure(make("img", { src: view.original, alt: "" }), "your image", "cropped and resized"));
    for (const subset of view.subsets) {
      images.push(figure(make("img", { src: subset.error, alt: "" }),
        `error of ${subset.levels.join(" + ")}`, "black 0, yellow 0.5 and more"));
    }
  }
  rows.push(make("div", { className: "row" }, ...images));
  const surprises = Object.entries(view.bits).map(([name, bits]) => {
    const all = bits.flat(), sum = all.reduce((a, b) => a + b, 0), most = Math.max(1, ...all);
    return figure(heatMap(bits, most), `${name}: ${sum.toFixed(0)} bits`,
      `${(sum / all.length).toFixed(2)} per code; black 0, yellow ${most.toFixed(1)}`);
  });
  if (surprises.length) {
    const as = view.class_name ? `, taken for ${view.class_name}` : "";
    rows.push(make("div", {}, make("p", { className: "lead", textContent: `What surprises the priors${as}` }),
      make("div", { className: "row" }, ...surprises)));
  }
  return rows;
}

function figure(image, title, words) {
  image.setAttribute("role", "img");
  image.setAttribute("aria-label", `${title}, ${words}`);
  return make("figure", {}, image,
    make("figcaption", {}, make("b", { textContent: title }), make("span", { textContent: words })));
}
