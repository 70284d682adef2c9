/** Elements made by scripts: text is always text, never HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** Make an element with attributes and children; strings among them become text. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Make an element of a drawing likewise. */
export function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Write a mean of counts: whole ones without a point, as ridgeway/words.py does. */
export function meanCount(value) {
  return Number.isInteger(value) ? String(value) : number(value);
}

/** Write a number with three significant digits, as ridgeway/words.py does. */
export function number(value) {
  if (value === null || value === undefined) return "-";
  if (typeof value === "string") return value;
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e3 && size < 1e6) return value.toFixed(0);
  if (size >= 1e-3 && size < 1e3) return value.toPrecision(3).replace(/\.$/, "");
  return value.toExponential(2).replace("e+", "e");
}
