/** An upload with its progress: fetch tells nothing of what is sent, so this is an XMLHttpRequest. */

const form = document.getElementById("upload");
const file = document.getElementById("file");
const name = document.getElementById("dataset-name");
const button = form.querySelector("button[type=submit]");
const cancel = form.querySelector("[data-action=cancel-upload]");
const sending = document.getElementById("sending");
const bar = document.getElementById("sent");
const note = document.getElementById("sent-note");
let named = false; // by the person, not after the file

file.addEventListener("change", () => {
  mark(file, "");
  if (file.files.length && !named) name.value = nameOf(file.files[0]);
});
name.addEventListener("input", () => {
  named = name.value !== "";
  mark(name, "");
});

/** A file's name without its endings. */
function nameOf(own) {
  return own.name.replace(/(\.(csv|tsv|txt|parquet|npz|gz))+$/i, "").trim().slice(0, 200);
}

function mark(control, message) {
  control.closest(".field").classList.toggle("wrong", message !== "");
  if (message) control.setAttribute("aria-invalid", "true");
  else control.removeAttribute("aria-invalid");
  document.getElementById(`${control.id}-error`).textContent = message;
}

function refuse(control, message) {
  mark(control, message);
  control.focus();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  mark(file, "");
  mark(name, "");
  const own = file.files[0];
  if (!own) return refuse(file, "Choose a file first.");
  if (!name.value.trim()) return refuse(name, "Give it a name.");
  const most = Number(form.dataset.most);
  if (own.size > most) return refuse(file, `The file has ${own.size.toLocaleString("en")} bytes; at most ${most.toLocaleString("en")} are taken.`);
  send(own);
});

function send(own) {
  const request = new XMLHttpRequest();
  request.open("POST", `/v1/datasets?name=${encodeURIComponent(name.value)}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.responseType = "json";
  request.upload.addEventListener("progress", (event) => {
    bar.value = event.loaded / (event.total || 1);
    note.textContent = `${Math.floor(100 * bar.value)} % sent`;
  });
  request.upload.addEventListener("load", () => {
    bar.removeAttribute("value"); // how long reading takes, nobody knows
    note.textContent = "Sent. The service reads it.";
  });
  request.addEventListener("load", () => ended(request));
  request.addEventListener("error", () => stopped("The service does not answer, or has refused the file while it was sent."));
  request.addEventListener("abort", () => stopped(""));
  cancel.onclick = () => request.abort();
  show(true);
  bar.value = 0;
  note.textContent = "0 % sent";
  request.send(own);
}

function ended(request) {
  const told = request.response ?? {};
  if (request.status >= 200 && request.status < 300) return location.assign(`/datasets/${encodeURIComponent(told.id)}`);
  if (request.status === 401) return stopped("You are signed out: sign in again.");
  const ofName = (told.errors ?? []).find((error) => error.field === "name");
  show(false);
  if (ofName) refuse(name, `The name ${ofName.message}.`);
  else if (request.status === 409) refuse(name, told.detail);
  else refuse(file, told.detail ?? `The service answers ${request.status}.`);
}

function stopped(message) {
  show(false);
  if (message) refuse(file, message);
}

function show(busy) {
  sending.hidden = !busy;
  cancel.hidden = !busy;
  button.disabled = busy;
}

/* --- a file that is dropped ---------------------------------------------------------------- */

for (const kind of ["dragenter", "dragover"]) {
  form.addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.add("over");
  });
}
form.addEventListener("dragleave", (event) => {
  if (!form.contains(event.relatedTarget)) form.classList.remove("over");
});
form.addEventListener("drop", (event) => {
  event.preventDefault();
  form.classList.remove("over");
  if (!event.dataTransfer.files.length || button.disabled) return;
  file.files = event.dataTransfer.files;
  file.dispatchEvent(new Event("change"));
});
