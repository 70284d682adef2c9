/** Buttons that change a job: `data-action`, `data-method`, `data-path`, and what they ask first. */

import { call } from "./api.js";
import { refresh } from "./refresh.js";

const dialog = document.getElementById("ask");
const more = document.getElementById("more");
const trouble = document.getElementById("trouble");

// No submit button, as Enter in the field would press it.
document.getElementById("ask-no").addEventListener("click", () => dialog.close("no"));

document.getElementById("actions").addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) return;
  trouble.textContent = "";
  if (await agreed(button)) await act(button);
});

/** Ask what is to be asked; true at once where nothing is. */
function agreed(button) {
  if (!button.dataset.asks) return Promise.resolve(true);
  const extends_ = button.dataset.action === "extend";
  const yes = document.getElementById("ask-yes");
  document.getElementById("ask-title").textContent = button.dataset.title;
  document.getElementById("ask-text").textContent = button.dataset.asks;
  document.getElementById("ask-trials").hidden = !extends_;
  more.disabled = !extends_; // what is hidden must not keep the form from closing
  document.getElementById("ask-no").textContent = button.dataset.no;
  yes.textContent = button.dataset.yes;
  yes.className = button.classList.contains("danger") ? "danger" : "first";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

async function act(button) {
  const { action, method, path } = button.dataset;
  button.disabled = true;
  try {
    await call(method, path, action === "extend" ? { trials: more.valueAsNumber } : undefined);
    if (action === "delete") return location.assign("/");
    if (["extend", "cancel", "answer"].includes(action)) return location.reload();
  } catch (problem) {
    // The job may have gone on meanwhile: the buttons below fit what it is now.
    trouble.textContent = problem.message;
  }
  button.disabled = false;
  await refresh().catch(() => {});
  document.querySelector("#actions button")?.focus();
}
