/** A job's trials: read page by page, listed with the best first. */

import { call } from "./api.js";
import { element, meanCount, number } from "./dom.js";

const A_PAGE = 500;
const MOST_PAGES = 10;
const LISTED = 15;
const OPEN = { running: "in training", waiting: "waiting" }; // in the place of a value
const NOTES = { pruned: "ended early", fail: "failed" };

export class Trials {
  /** at: the job's address, `/v1/jobs/...`. */
  constructor(at) {
    this.at = at;
    this.pages = [];
  }

  /** Read what is new: pages whose trials have all ended stay as they are. */
  async load() {
    const settled = (page) => page.next && !page.trials.some((trial) => trial.state in OPEN);
    const first = this.pages.findIndex((page) => !settled(page));
    if (first >= 0) this.pages.length = first;
    let cursor = this.pages.at(-1)?.next ?? null;
    while (this.pages.length < MOST_PAGES && (cursor !== null || !this.pages.length)) {
      const page = await this.#page("number", A_PAGE, cursor);
      this.pages.push(page);
      cursor = page.next;
    }
  }

  /** The job's own trials that have a value; of a large job the first 5,000. */
  get complete() {
    const all = this.pages.flatMap((page) => page.trials);
    return all.filter((trial) => trial.state === "complete" && trial.value !== null && !trial.warm_start);
  }

  /** Whether there are more than are read. */
  get cut() {
    return Boolean(this.pages.at(-1)?.next);
  }

  /** The best trials, and behind them those without a value. */
  async best() {
    return (await this.#page("value", LISTED, null)).trials;
  }

  #page(order, limit, cursor) {
    const after = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    return call("GET", `${this.at}/trials?order=${order}&limit=${limit}${after}`);
  }
}

/** Show trials as a table; `look` as in chart.js. */
export function showTable(place, trials, look) {
  if (!trials.length) return place.replaceChildren();
  const head = ["Trial", "Penalty", "λ", look.judgedBy, "Nonzero weights", "Note"];
  const rows = trials.map((trial) => {
    const penalty = String(trial.params.penalty ?? "");
    const known = look.penalties.get(penalty);
    const error = trial.standard_error === null ? "" : ` ± ${number(trial.standard_error)}`;
    return element(
      "tr",
      {},
      element("td", {}, String(trial.number)),
      element("td", { class: "text" }, element("span", { class: `dot ${known?.slot ?? ""}` }), known?.label ?? penalty),
      element("td", {}, "lambda" in trial.params ? number(trial.params.lambda) : ""),
      element("td", {}, trial.value === null ? OPEN[trial.state] ?? "" : number(trial.value) + error),
      element("td", {}, trial.nonzero_weights === null ? "" : meanCount(trial.nonzero_weights)),
      element("td", { class: "text" }, trial.reason ?? NOTES[trial.state] ?? ""),
    );
  });
  const texts = ["Penalty", "Note"];
  const cells = head.map((name) => element("th", { scope: "col", class: texts.includes(name) ? "text" : null }, name));
  const table = element("table", {}, element("caption", {}, "The best trials"), element("thead", {}, element("tr", {}, ...cells)), element("tbody", {}, ...rows));
  place.replaceChildren(element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "The best trials" }, table));
}
