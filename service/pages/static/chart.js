/** Trials as points: value over λ, or in the order in which they were tried; coloured by penalty. */

import { element, number, shape } from "./dom.js";

const HEIGHT = 300;
const EDGE = { top: 30, right: 12, bottom: 40, left: 56 };
const NOT_SHOWN = 0.1; // of the values, the worst: they would press all others together

/**
 * Draw trials into `place`.
 *
 * look: `judgedBy` in words, `maximise`, `penalties`: a Map of name to `{label, slot}`.
 */
export function drawTrials(place, trials, look, cut) {
  if (trials.length < 2) return place.replaceChildren();
  const strengths = trials.filter((trial) => trial.params.lambda > 0);
  const across = strengths.length > 1 ? (place.dataset.across ?? "lambda") : "number";
  const shown = across === "lambda" ? strengths : trials;
  const found = best(trials, look.maximise);
  const svg = picture(place.clientWidth || 640, shown, found, across, look);
  const parts = [svg, legend(trials, look)];
  if (strengths.length > 1) parts.unshift(choice(place, across, () => drawTrials(place, trials, look, cut)));
  const hidden = trials.length - shown.length;
  if (hidden) parts.push(element("p", { class: "note" }, `Not here, as they have no λ: ${hidden} without a penalty. They are in the order.`));
  if (cut) parts.push(element("p", { class: "note" }, `The first ${trials.length} complete trials.`));
  place.className = "chart";
  place.replaceChildren(...parts);
}

function best(trials, maximise) {
  const better = (a, b) => (maximise ? a.value > b.value : a.value < b.value);
  return trials.reduce((found, trial) => (better(trial, found) ? trial : found));
}

function picture(width, trials, found, across, look) {
  const x = axisOf(trials.map((trial) => at(trial, across)), across === "lambda", EDGE.left, width - EDGE.right);
  const [low, high] = range(trials.map((trial) => trial.value), look.maximise);
  const y = axisOf([low, high], low > 0 && high / low > 20, HEIGHT - EDGE.bottom, EDGE.top);
  const finding = `${trials.length} trials; the best ${look.judgedBy} is ${number(found.value)}, ${described(found, look)}`;
  const label = across === "lambda" ? "λ, the strength of the penalty" : "order in which they were tried";
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": finding });
  for (const tick of y.ticks(5)) {
    svg.append(shape("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(tick), y2: y(tick) }));
    svg.append(shape("text", { x: EDGE.left - 8, y: y(tick) + 4, "text-anchor": "end" }, short(tick)));
  }
  for (const tick of x.ticks(width < 500 ? 4 : 7))
    svg.append(shape("text", { x: x(tick), y: HEIGHT - EDGE.bottom + 18, "text-anchor": "middle" }, short(tick)));
  svg.append(shape("text", { x: EDGE.left, y: 12 }, look.judgedBy));
  svg.append(shape("text", { x: width - EDGE.right, y: HEIGHT - 4, "text-anchor": "end" }, label));
  for (const trial of trials) svg.append(point(trial, x(at(trial, across)), y(within(trial.value, low, high)), trial === found, look));
  return svg;
}

function point(trial, x, y, isBest, look) {
  const slot = look.penalties.get(trial.params.penalty)?.slot ?? "";
  const circle = shape("circle", { cx: x, cy: y, r: isBest ? 6 : 4, class: `${slot}${isBest ? " best" : ""}` });
  circle.append(shape("title", {}, `Trial ${trial.number}: ${look.judgedBy} ${number(trial.value)}, ${described(trial, look)}`));
  return circle;
}

function described(trial, look) {
  const label = look.penalties.get(trial.params.penalty)?.label ?? String(trial.params.penalty);
  return trial.params.lambda === undefined ? label : `${label} at λ = ${number(trial.params.lambda)}`;
}

function legend(trials, look) {
  const counts = new Map();
  for (const trial of trials) counts.set(trial.params.penalty, (counts.get(trial.params.penalty) ?? 0) + 1);
  const items = [...counts].map(([penalty, count]) => {
    const known = look.penalties.get(penalty);
    return element("li", {}, element("span", { class: `dot ${known?.slot ?? ""}` }), `${known?.label ?? penalty}: ${count}`);
  });
  return element("ul", { class: "legend", "aria-label": "Trials of each penalty" }, ...items);
}

/** Radio buttons for what is drawn across; the choice stays at `place`. */
function choice(place, across, redraw) {
  const option = (value, words) => {
    const input = element("input", { type: "radio", name: "across", value });
    input.checked = value === across;
    input.addEventListener("change", () => {
      place.dataset.across = value;
      redraw();
      place.querySelector("input:checked").focus();
    });
    return element("label", {}, input, ` ${words}`);
  };
  return element("fieldset", {}, element("legend", {}, "Across"), option("lambda", "λ"), option("number", "order"));
}

const at = (trial, across) => (across === "lambda" ? trial.params.lambda : trial.number);
const within = (value, low, high) => Math.min(Math.max(value, low), high);

/** From the best value to where the worst tenth begins, which is drawn at the edge. */
function range(values, maximise) {
  const sorted = values.toSorted((a, b) => a - b);
  const skipped = Math.floor(sorted.length * NOT_SHOWN);
  const [low, high] = maximise ? [sorted[skipped], sorted.at(-1)] : [sorted[0], sorted.at(-1 - skipped)];
  return low === high ? [low - 0.5, high + 0.5] : [low, high];
}

/** Make a scale from values to pixels, with `ticks`; a logarithmic one where all are positive. */
function axisOf(values, logarithmic, from, to) {
  const turned = logarithmic ? Math.log10 : (value) => value;
  let [low, high] = [Math.min(...values), Math.max(...values)].map(turned);
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const scale = (value) => from + ((turned(value) - low) / (high - low)) * (to - from);
  scale.ticks = (count) => (logarithmic ? powers(low, high, count) : steps(low, high, count));
  return scale;
}

function steps(low, high, count) {
  const rough = (high - low) / count;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * magnitude).find((each) => each >= rough);
  const first = Math.ceil(low / step);
  const found = [];
  for (let place = first; place * step <= high; place++) found.push(Number((place * step).toPrecision(12)));
  return found;
}

function powers(low, high, count) {
  const every = Math.max(1, Math.ceil((high - low) / count));
  const found = [];
  for (let place = Math.ceil(low); place <= high; place += every) found.push(10 ** place);
  return found.length > 1 ? found : [10 ** low, 10 ** high];
}

/** Write a tick without zeros behind its last digit. */
function short(value) {
  const [digits, exponent] = number(value).split("e");
  const kept = digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
  return exponent === undefined ? kept : `${kept}e${exponent}`;
}
