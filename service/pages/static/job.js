/** A job's page: it follows the job while that runs, draws its trials, and acts on it. */

import "./actions.js";
import { drawTrials } from "./chart.js";
import { element } from "./dom.js";
import { follow } from "./events.js";
import { showPlots } from "./plots.js";
import { refresh } from "./refresh.js";
import { showTable, Trials } from "./trials.js";

const job = document.getElementById("job");
const chart = document.getElementById("chart");
const plots = document.getElementById("plots");
const at = job.dataset.at;
const look = {
  judgedBy: job.dataset.judgedBy,
  maximise: job.dataset.maximise === "yes",
  penalties: new Map([...job.querySelectorAll("data")].map((each) => [each.value, { label: each.textContent, slot: each.className }])),
};
const trials = new Trials(at);

async function showTrials() {
  if (!chart) return;
  await trials.load();
  const best = await trials.best();
  if (!best.length) return chart.replaceChildren(element("p", {}, "No trial has begun."));
  drawTrials(chart, trials.complete, look, trials.cut);
  showTable(document.getElementById("trial-table"), best, look);
}

/** Make a function that runs at most once in so many seconds, and once more after the last call. */
function seldom(seconds, run) {
  let again = false;
  let busy = false;
  return async function ask() {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      again = false;
      await run().catch(() => {}); // away for a moment: what is shown stays
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
    busy = false;
  };
}

showTrials().catch(() => {});
if (plots) showPlots(plots, at);
if (job.dataset.ended === "no") {
  const show = seldom(1, refresh);
  const draw = seldom(2, showTrials);
  follow(
    at,
    () => {
      show();
      draw();
    },
    () => location.reload(),
  );
}
