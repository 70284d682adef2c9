/** A data set's page: renaming and deleting, each asked for in a dialog first. */
import { Problem, call } from "./api.js";

const address = (form) => `/v1/datasets/${encodeURIComponent(form.dataset.id)}`;

function ask(id, then) {
  const dialog = document.getElementById(id);
  const form = dialog?.querySelector("form");
  if (!form) return;
  document.querySelector(`[data-action="${id}"]`).addEventListener("click", () => dialog.showModal());
  dialog.querySelector("[data-action=close]").addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const trouble = form.querySelector(".trouble");
    trouble.textContent = "";
    try {
      await then(form);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      trouble.textContent = error.errors[0]?.message ?? error.message;
      const control = form.querySelector("input");
      control?.setAttribute("aria-invalid", "true");
      control?.focus();
    }
  });
}

ask("rename", async (form) => {
  await call("PATCH", address(form), { name: form.querySelector("input").value });
  location.reload();
});
ask("delete", async (form) => {
  await call("DELETE", address(form));
  location.assign("/datasets");
});
