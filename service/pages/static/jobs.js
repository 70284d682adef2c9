/** The list of jobs: kept fresh, filtered as one chooses, compared where two or more are ticked. */

import { keepFresh } from "./refresh.js";

const SECONDS = 3;

function showComparable() {
  const button = document.getElementById("compare");
  if (button) button.disabled = document.querySelectorAll("#lines input:checked").length < 2;
}

document.addEventListener("change", (event) => {
  if (event.target.matches("#filters select")) event.target.form.requestSubmit();
  else showComparable();
});

showComparable();
keepFresh(SECONDS, showComparable);
