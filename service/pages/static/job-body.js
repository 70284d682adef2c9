/** A job's JSON from the controls of a form, each with the dotted path of its field. */

/** Read the controls; what is empty, or as the service has it by itself, is left out. */
export function bodyOf(controls) {
  const body = {};
  for (const control of controls) {
    const value = valueOf(control);
    if (value !== undefined && !isDefault(value, control)) put(body, control.dataset.path, value);
  }
  for (const control of controls) {
    const [part, name] = control.dataset.path.split(".");
    // An object is read by its kind.
    if (name === "kind" && body[part]) body[part] = { kind: control.value, ...body[part] };
  }
  return body;
}

function isDefault(value, control) {
  return JSON.stringify(value) === JSON.stringify(JSON.parse(control.dataset.default));
}

const READERS = {
  text: (control) => control.value || undefined,
  choice: (control) => control.value || undefined,
  flag: (control) => control.checked,
  integer: (control) => number(control.value),
  number: (control) => number(control.value),
  integers: (control) => listed(control.value, /[,\s]+/)?.map(number),
  lines: (control) => listed(control.value, /\n/),
  ticked: (control) => [...control.querySelectorAll("input:checked")].map((each) => each.value),
};

function valueOf(control) {
  return READERS[control.dataset.kind](control);
}

/** A number; text that is none is sent as it is: the service says what it takes. */
function number(text) {
  const trimmed = text.trim();
  if (trimmed === "") return undefined;
  const value = Number(trimmed);
  return Number.isFinite(value) ? value : trimmed;
}

function listed(text, separator) {
  const items = text.split(separator).filter((item) => item.trim() !== "");
  return items.length ? items : undefined;
}

function put(body, path, value) {
  const [first, second] = path.split(".");
  if (second === undefined) body[first] = value;
  else body[first] = { ...body[first], [second]: value };
}

/** Read the field of further JSON: an object, empty where nothing is written. */
export function parseMore(text) {
  if (text.trim() === "") return {};
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}.`);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error('This must be an object: {"field": value}.');
  return value;
}

/** One object over another; objects in both are merged. */
export function merged(below, above) {
  const both = { ...below };
  for (const [name, value] of Object.entries(above)) {
    const mergeable = isObject(both[name]) && isObject(value);
    Object.defineProperty(both, name, {
      value: mergeable ? merged(both[name], value) : value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return both;
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
