// The page: asks for what its buttons say, and shows what it is told.

import { Problem, ask, follow, send } from "./asking.js";
import { Codebook } from "./codebook.js";
import { find, make, percent, showPatch } from "./elements.js";
import { inspectionOf } from "./inspection.js";
import { CodeMap } from "./maps.js";

const SPEEDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, null]; // codes a second; null: as fast as it goes
const LARGEST_IMAGE = 2 ** 25; // bytes, as the server has it
const VARIATIONS = 6;

let model; // what the server says of the hierarchy
let session; // the name of this page's session there
let maps; // a CodeMap for each level, coarse to fine
let picture; // the image as it stands
let told = {}; // what the server said last of the session
let work = null; // the AbortController of what is being drawn
let chosen = null; // the map that has the selection
let codebook; // the codes to choose from
let settledClass = null; // of the image that is edited
let inspected = null; // the image that was looked at closely
let seedUse = "none"; // "none": no code is drawn with the seed yet; "drawing"; "over"

const speed = () => SPEEDS[find("speed").value];

// Asking.

async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    if (!(error instanceof Problem)) console.error(error);
    find("problem").textContent = error.message;
    find("problem").hidden = false;
    return undefined;
  }
}

// Requests are numbered as they are made: one that comes late does not end a later one.
let turn = 0;
const numbered = (action) => `${session}/${(turn = Math.max(turn + 1, Date.now()))}/${action}`;

// Changes wait for each other, so that what is shown last is what came last.
let changes = Promise.resolve();
function change(action, request = {}) {
  stop();
  changes = changes.then(() =>
    attempt(async () => showSession(await ask(numbered(action), request))));
  return changes;
}

async function edit(action, request) {
  endSeed();
  await change(action, request);
  settledClass = told.class_name;
  sayHowFar();
  if (!isDrawing()) await lookAhead();
}

// What is kept is no part of the image: its drawing can go on.
async function keepOrDrop(action, request) {
  await change(action, request);
  if (!isDrawing()) await lookAhead();
}

// Where any class will do, an image that has one keeps it while it is edited.
function wish(label) {
  const wrong = document.querySelector("#seed:invalid, #settings :invalid");
  if (wrong) {
    wrong.focus();
    throw new Problem(`${wrong.ariaLabel ?? "seed"}: ${wrong.validationMessage}`);
  }
  const settings = {};
  for (const row of find("settings").tBodies[0].rows) {
    const [temperature, top_k, top_p] = [...row.querySelectorAll("input")].map((i) => i.valueAsNumber);
    settings[row.dataset.level] = { temperature, top_k, top_p };
  }
  return { label: find("class").value || label, seed: find("seed").valueAsNumber, settings };
}

// Follows a stream of the server; only the latest one counts.
async function followed(action, label, more, draws = true) {
  const request = await attempt(() => ({ wish: wish(label), ...more }));
  if (!request) return;
  stop();
  const own = (work = new AbortController());
  own.draws = draws;
  showBusy();
  await attempt(() =>
    follow(
      numbered(action),
      request,
      (event, data) => {
        if (work === own) (event === "moment" ? showMoment : showSession)(data);
      },
      own.signal,
    ),
  );
  if (work !== own) return;
  work = null;
  showBusy();
}

function stop() {
  work?.abort();
  work = null;
  showBusy();
}

// Whether nothing more can be drawn of what was begun.
function isOver() {
  return told.complete || (model.levels[0].trained && nothingCanBeDrawn());
}

async function drawAnother() {
  if (!(await attempt(() => wish()))) return;
  endSeed();
  await change("start_over");
  settledClass = null;
  await draw(null, speed());
}

async function draw(count, speed) {
  renewSeed();
  seedUse = "drawing";
  await followed("draw", settledClass, { count, speed });
  if (isOver()) endSeed();
  sayHowFar();
}

// What is drawn after this is another drawing.
function endSeed() {
  if (seedUse === "drawing") seedUse = "over";
}

function renewSeed() {
  if (seedUse !== "over") return;
  if (find("fresh").checked) find("seed").valueAsNumber += 1;
  seedUse = "none";
}

// What may come next, without drawing anything: the seed is the one that it is drawn with, since
// it chooses the class where any will do.
async function lookAhead() {
  if (told.complete || nothingCanBeDrawn()) return;
  renewSeed();
  await followed("draw", settledClass, { count: 0, speed: null }, false);
}

function nothingCanBeDrawn() {
  const missing = model.levels.findIndex((_, place) => maps[place].codes.includes(-1));
  return missing >= 0 && !model.levels[missing].trained;
}

async function pause() {
  stop();
  await lookAhead();
}

// Showing.

function say(words) {
  find("status").textContent = words;
}

function sayHowFar() {
  const sum = (numbers) => numbers.reduce((a, b) => a + b);
  const decided = sum(maps.map((map) => map.decided()));
  if (told.complete) say("The image is complete.");
  else if (isOver()) say("All that has a prior is drawn.");
  else say(`${decided} of ${sum(maps.map((map) => map.codes.length))} codes are decided.`);
}

const isDrawing = () => Boolean(work?.draws);

function showBusy() {
  const busy = isDrawing();
  const over = !busy && Boolean(told.codes) && isOver();
  find("draw").textContent = busy ? "Pause" : over ? "Draw another" : "Draw";
  find("step").disabled = find("finish").disabled = over;
}

function showMoment(moment) {
  told = { ...told, ...moment };
  picture.image.src = moment.image;
  model.levels.forEach((level, place) => {
    const map = maps[place], next = moment.next?.level === level.name ? moment.next : null;
    map.show(moment.codes[level.name], next);
    const decided = map.decided();
    map.words.textContent = `${level.size} × ${level.size} · ${decided} of ${level.size ** 2}`;
    map.progress.value = decided;
  });
  picture.words.textContent = moment.class_name
    ? `drawn as ${moment.class_name}`
    : told.brought ? "your image, reconstructed" : "";
  if (inspected !== moment.image) find("inspection").replaceChildren();
  find("undo").disabled = !moment.can_undo;
  showNext(moment.next);
  showBusy();
}

function showSession(view) {
  told = view;
  showMoment(view);
  showKept(view.kept);
}

function showNext(next) {
  const bars = find("bars");
  if (!next) {
    find("next-words").textContent = isOver()
      ? "Nothing is left to draw. Erase something, or draw another image."
      : "What may come at the next position appears here.";
    bars.replaceChildren();
    return;
  }
  const level = model.levels.find(({ name }) => name === next.level);
  find("next-words").textContent =
    `${next.level} map, row ${next.row + 1}, column ${next.column + 1}` +
    `${next.class_name ? ` of ${next.class_name}` : ""}: the model is uncertain by ${next.bits.toFixed(1)} bits.`;
  next.bars.forEach(([code, drawn, plain], place) => {
    const bar = bars.children[place] ?? bars.appendChild(newBar());
    const [patch, number, track, chance] = bar.children;
    showPatch(patch, level, code, 32);
    number.textContent = code;
    track.children[0].style.width = `${100 * drawn}%`;
    track.children[1].style.left = `calc(${100 * plain}% - 1px)`;
    chance.textContent = percent(drawn);
  });
  while (bars.children.length > next.bars.length) bars.lastChild.remove();
}

function newBar() {
  const track = make("span", { className: "track" }, make("i"), make("u"));
  track.setAttribute("aria-hidden", "true");
  return make("li", {}, make("span", { className: "patch" }), make("span", { className: "number" }),
    track, make("span", { className: "chance" }));
}

function showKept(images) {
  const one = (image, number) => {
    const button = (words, action, label, className = "") => {
      const element = make("button", { type: "button", textContent: words, className });
      element.setAttribute("aria-label", `${label} ${number + 1}`);
      const act = action === "drop" ? keepOrDrop : edit;
      element.addEventListener("click", () => act(action, { number }));
      return element;
    };
    const buttons = [button("Take", "take", "Go on with kept image")];
    if (model.levels.length > 1) {
      buttons.push(button("Swap tops", "exchange", "Exchange top maps with kept image"));
    }
    buttons.push(button("×", "drop", "Drop kept image", "close"));
    return make("li", {}, make("img", { src: image, alt: `kept image ${number + 1}` }),
      make("div", {}, ...buttons));
  };
  const buttons = () => [...find("kept").querySelectorAll("button")];
  const focused = buttons().indexOf(document.activeElement);
  find("kept").replaceChildren(...images.map(one));
  if (focused >= 0) (buttons()[focused] ?? buttons().at(-1) ?? find("keep")).focus();
}

function showSelection() {
  const some = chosen?.selection;
  for (const id of ["redraw", "erase"]) find(id).disabled = !some;
  codebook.enable(some && chosen === maps[codebook.shown]);
  if (!some) {
    find("selection").textContent = "nothing selected";
    return;
  }
  const [height, width] = [some.bottom - some.top, some.right - some.left];
  find("selection").textContent =
    `${chosen.level.name}: ${height} × ${width} from row ${some.top + 1}, column ${some.left + 1}`;
}

const rectangle = ({ top, left, bottom, right }) => [top, left, bottom, right];

// Editing.

function selected(map, key) {
  if (chosen && chosen !== map) chosen.select(null);
  chosen = map;
  if (key === "Escape") map.select(null);
  if (maps.indexOf(map) !== codebook.shown) codebook.show(maps.indexOf(map));
  showSelection();
  if (!map.selection) return;
  if (key === "Enter") redraw();
  if (key === "Delete" || key === "Backspace") erase();
}

const erase = () =>
  edit("erase", {
    level: chosen.level.name,
    rectangle: rectangle(chosen.selection),
    finer: find("finer").checked,
  });

const put = (code) =>
  edit("put", { level: chosen.level.name, rectangle: rectangle(chosen.selection), code });

async function redraw() {
  await erase();
  await draw(null, speed());
}

// Looking closely.

async function inspect() {
  await attempt(async () => {
    say("Looking closely …");
    const view = await ask(numbered("inspect"), { label: find("class").value || null });
    inspected = told.image;
    find("inspection").replaceChildren(...inspectionOf(view, model));
    say("");
  });
}

async function open(file) {
  if (!file) return;
  if (file.size > LARGEST_IMAGE) {
    await attempt(async () => {
      throw new Problem(`${file.name} is too large: an image may have ${LARGEST_IMAGE / 2 ** 20} MB, at most`);
    });
    return;
  }
  const opened = await attempt(async () => {
    stop();
    showSession(await send(numbered("image"), file));
    return true;
  });
  if (!opened) return;
  endSeed();
  await inspect();
}

// Beginning.

function buildStage() {
  maps = model.levels.map((level) => {
    const map = new CodeMap(level, selected);
    map.words = make("span");
    map.progress = make("progress", { max: level.size ** 2, value: 0 });
    map.progress.setAttribute("aria-label", `decided codes of ${level.name}`);
    find("stage").append(make("figure", {},
      make("figcaption", {}, make("b", { textContent: level.name }), map.words), map.canvas, map.progress));
    return map;
  });
  picture = { image: make("img", { alt: "the image as decoded from the codes so far" }), words: make("span") };
  find("stage").append(make("figure", { className: "image" },
    make("figcaption", {}, make("b", { textContent: "image" }), picture.words), picture.image));
}

function buildWish() {
  find("class-field").hidden = !model.classes.length;
  find("class").append(make("option", { value: "", textContent: "any" }),
    ...model.classes.map((name) => make("option", { value: name, textContent: name })));
  for (const level of model.levels) {
    const field = (words, attributes) => {
      const input = make("input", { type: "number", required: true, ...attributes });
      input.setAttribute("aria-label", `${words} of ${level.name}`);
      return make("td", {}, input);
    };
    const row = make("tr", {},
      make("th", { scope: "row", textContent: level.trained ? level.name : `${level.name} (no prior)` }),
      field("temperature", { min: 0, max: 10, step: "any", value: 1 }),
      field("top-k", { min: 0, max: level.codes, step: 1, value: 0 }),
      field("top-p", { min: 0.001, max: 1, step: "any", value: 1 }));
    row.dataset.level = level.name;
    find("settings").tBodies[0].append(row);
  }
}

function listen() {
  const forget = () => {
    find("problem").hidden = true;
    find("problem").textContent = "";
  };
  for (const event of ["click", "keydown", "drop"]) document.addEventListener(event, forget, true);
  const on = (id, event, action) => find(id).addEventListener(event, action);
  const words = () => {
    find("speed-words").textContent = speed() ? `${speed()} codes/s` : "at full speed";
  };
  const goOn = () => (isDrawing() ? draw(null, speed()) : lookAhead());
  on("draw", "click", () => (isDrawing() ? pause() : isOver() ? drawAnother() : draw(null, speed())));
  on("step", "click", () => draw(1, null));
  on("finish", "click", () => draw(null, null));
  on("clear", "click", () => edit("start_over"));
  on("undo", "click", () => edit("undo"));
  on("redraw", "click", redraw);
  on("erase", "click", erase);
  on("keep", "click", () => keepOrDrop("keep"));
  on("vary", "click", async () => {
    say(`Drawing ${VARIATIONS} more from this top map …`);
    await followed("vary", told.class_name, { count: VARIATIONS });
    say("");
  });
  on("inspect", "click", inspect);
  on("speed", "input", words);
  on("speed", "change", () => isDrawing() && draw(null, speed()));
  on("seed", "change", () => { seedUse = "none"; goOn(); });
  for (const id of ["class", "settings"]) on(id, "change", goOn);
  on("file", "change", () => open(find("file").files[0]).then(() => { find("file").value = ""; }));
  for (const event of ["dragover", "dragleave", "drop"]) {
    on("drop", event, (e) => find("drop").classList.toggle("over", e.type === "dragover"));
    window.addEventListener(event, (e) => e.preventDefault());
  }
  window.addEventListener("drop", (e) => attempt(() => {
    if (!e.dataTransfer.files.length) throw new Problem("What was dropped is no file: save the image first.");
    return open(e.dataTransfer.files[0]);
  }));
  window.addEventListener("keydown", (e) => {
    if (e.key === "z" && (e.ctrlKey || e.metaKey) && !e.target.matches("input[type=number]")) {
      e.preventDefault();
      if (!find("undo").disabled) edit("undo");
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => maps.forEach((m) => m.draw()));
  words();
}

// The session of this tab, also after the page was loaded again.
async function openSession() {
  session = sessionStorage.getItem("session");
  try {
    if (session) return await ask(numbered("look"));
  } catch {
    // It was set aside, or is another server's.
  }
  session = (await ask("open")).session;
  sessionStorage.setItem("session", session);
  return ask(numbered("look"));
}

await attempt(async () => {
  say("Looking at the codebooks …");
  model = await ask("model");
  document.title = `${model.name} · vqv2 play`;
  find("model").textContent = model.name;
  buildStage();
  buildWish();
  codebook = new Codebook(model.levels, put, showSelection);
  listen();
  find("vary").hidden = find("finer-field").hidden = model.levels.length === 1;
  showSession(await openSession());
  if (told.drawing) {
    seedUse = "drawing";
    find("seed").valueAsNumber = told.drawing.seed;
    find("class").value = told.drawing.label ?? "";
  }
  showSelection();
  say("");
  await lookAhead();
});
