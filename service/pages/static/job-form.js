/**
 * The form of a new job. Whatever changes, the job is read off the form, checked by the service as if
 * it were submitted, and shown as code with what it would cost. Bad fields are marked where they are.
 */
import { Problem, call } from "./api.js";
import { bodyOf, merged, parseMore } from "./job-body.js";
import { showTabs } from "./tabs.js";

const form = document.getElementById("job-form");
const more = document.getElementById("more");
const problems = document.getElementById("problems");
const controls = [...form.querySelectorAll("[data-path]")];
const REST_MS = 350; // after the last key

/* --- the job that the form tells ----------------------------------------------------------- */

function read() {
  const told = bodyOf(controls.filter((control) => !control.closest("[hidden]")));
  return merged(told, parseMore(more.value));
}

function showParts() {
  for (const part of form.querySelectorAll("[data-when]")) {
    const other = controls.find((control) => control.dataset.path === part.dataset.when);
    part.hidden = !part.dataset.among.split(" ").includes(other.value);
  }
}

/* --- what is wrong, at its field ----------------------------------------------------------- */

/** The control that a bad field is to be mended in: the JSON's if it says so, else the nearest. */
function controlOf(field) {
  if (saidByMore(field)) return more;
  const fits = (path) => field === path || field.startsWith(`${path}.`);
  const near = controls.filter((control) => fits(control.dataset.path) && !control.closest("[hidden]"));
  return near.sort((one, other) => other.dataset.path.length - one.dataset.path.length)[0] ?? null;
}

function saidByMore(field) {
  let value;
  try {
    value = parseMore(more.value);
  } catch {
    return false;
  }
  const names = field.split(".");
  const first = value[names[0]];
  if (first === undefined) return false;
  const nested = first !== null && typeof first === "object" && !Array.isArray(first);
  return !nested || names.length === 1 || names[1] in first;
}

function clear() {
  for (const control of [...controls, more]) {
    control.removeAttribute("aria-invalid");
    control.closest(".field, fieldset").classList.remove("wrong");
    document.getElementById(`${control.id}-error`).textContent = "";
  }
  problems.hidden = true;
  problems.querySelector("ul").replaceChildren();
}

/** Mark every bad field; returns the first one's control. `all`: list them on top of the form too. */
function mark(errors, all) {
  const marked = errors.map((error) => [error, controlOf(error.field)]);
  for (const [error, control] of marked) {
    if (!control) continue;
    control.setAttribute("aria-invalid", "true");
    control.closest(".field, fieldset").classList.add("wrong");
    unfold(control);
    const note = document.getElementById(`${control.id}-error`);
    const below = error.field === control.dataset.path ? "" : `${error.field}: `;
    note.textContent += `${note.textContent ? " " : ""}${below}${error.message.replace(/\.$/, "")}.`;
  }
  const listed = marked.filter(([, control]) => all || !control);
  problems.querySelector("ul").replaceChildren(...listed.map(item));
  problems.hidden = listed.length === 0;
  return marked.map(([, control]) => control).find(Boolean) ?? null;
}

function item([error, control]) {
  const line = document.createElement("li");
  const name = document.createElement(control ? "a" : "code");
  name.textContent = error.field || "the job";
  if (control) {
    name.href = `#${control.id}`;
    name.addEventListener("click", (event) => {
      event.preventDefault();
      reach(control);
    });
  }
  line.append(name, ` ${error.message}`);
  return line;
}

/** Open the parts of the form that the control is in. */
function unfold(control) {
  for (let own = control.closest("details"); own; own = own.parentElement.closest("details")) own.open = true;
}

function reach(control) {
  unfold(control);
  control.focus();
}

/* --- checked while it is written ----------------------------------------------------------- */

let asked = 0;
let rest = null;

/** Whatever is being checked is of a job that was. */
function stopChecking() {
  clearTimeout(rest);
  asked++;
}

function busy(yes) {
  form.querySelector("aside").setAttribute("aria-busy", String(yes));
}

async function check() {
  const own = ++asked;
  showParts();
  await look(own);
  if (own === asked) busy(false);
}

async function look(own) {
  let body;
  try {
    body = read();
  } catch (error) {
    clear();
    moreIsWrong(error.message);
    return tell("Mend what is marked, and it is estimated.");
  }
  write("as-json", JSON.stringify(body, null, 2));
  if (!body.dataset) {
    clear();
    return tell("Choose a data set.");
  }
  try {
    const told = await call("POST", "/v1/estimates", body);
    if (own !== asked) return;
    clear();
    showEstimate(told);
  } catch (error) {
    if (own !== asked) return;
    clear();
    if (!(error instanceof Problem)) throw error;
    mark(error.errors, false);
    guess(null);
    tell(error.errors.length ? "Mend what is marked, and it is estimated." : error.message);
    for (const id of ["as-curl", "as-python", "as-shell"]) write(id, "");
  }
}

function moreIsWrong(message) {
  more.setAttribute("aria-invalid", "true");
  more.closest(".field").classList.add("wrong");
  document.getElementById("more-error").textContent = message;
}

function showEstimate(told) {
  const limits = told.judged_by ? ` Judged by ${told.judged_by === 1 ? "a job" : `${told.judged_by} jobs`} like it.` : "";
  tell(told.sentence + limits);
  const lines = told.warnings.map((warning) => {
    const line = document.createElement("li");
    line.textContent = warning;
    return line;
  });
  document.getElementById("warnings").replaceChildren(...lines);
  write("as-curl", told.code.curl);
  write("as-python", told.code.python);
  write("as-shell", told.code.shell);
  guess(told.spec.target, told.spec.task);
}

function tell(text) {
  const cost = document.getElementById("cost");
  if (cost.textContent !== text) cost.textContent = text;
}

function write(id, text) {
  document.getElementById(id).textContent = text;
}

/* --- what is guessed of the data set ------------------------------------------------------- */

function guess(target, task) {
  const told = document.getElementById("guess");
  const said = document.getElementById("target").value !== "";
  const tasked = document.getElementById("task").value !== "";
  if (!target) return (told.textContent = "");
  const column = said ? `Predicts ${target}` : `Predicts ${target}, the last column (guessed)`;
  told.textContent = task ? `${column}: ${task}${tasked ? "" : ", told from its values"}.` : `${column}.`;
}

let shown = document.getElementById("dataset").value;

/** Offer the columns of another data set. */
async function offerColumns() {
  const name = document.getElementById("dataset").value;
  if (name === shown || !name) return;
  shown = name;
  const found = await call("GET", `/v1/datasets/${encodeURIComponent(name)}`).catch(() => null);
  const columns = (found?.columns ?? []).slice(0, 1000).map((column) => {
    const option = document.createElement("option");
    option.value = column.name;
    return option;
  });
  document.getElementById("columns").replaceChildren(...columns);
}

/* --- submitted ----------------------------------------------------------------------------- */

async function submit(event) {
  event.preventDefault();
  const button = form.querySelector("button[type=submit]");
  const trouble = document.getElementById("submit-trouble");
  trouble.textContent = "";
  stopChecking();
  busy(false);
  let body;
  try {
    body = read();
  } catch (error) {
    clear();
    moreIsWrong(error.message);
    return reach(more);
  }
  button.disabled = true;
  try {
    const job = await call("POST", "/v1/jobs", body);
    location.assign(`/jobs/${job.id}`);
  } catch (error) {
    button.disabled = false;
    if (!(error instanceof Problem)) throw error;
    clear();
    const first = mark(error.errors, true);
    if (first) reach(first);
    else if (error.errors.length) problems.focus();
    else trouble.textContent = error.message;
  }
}

form.addEventListener("input", () => {
  stopChecking();
  busy(true);
  rest = setTimeout(check, REST_MS);
});
form.addEventListener("change", offerColumns);
form.addEventListener("submit", submit);
showTabs();
const { target, task } = document.getElementById("guess").dataset;
guess(target, task);
check();
