/** The plots of an answer as pictures of the service's: light and dark, for a page or a phone. */

import { call } from "./api.js";
import { element } from "./dom.js";

const PAGE_PIXELS = 760;
const PHONE_PIXELS = 358;
const FIRST = ["path", "penalties", "features", "sealed"]; // the others wait to be asked for

/** Ask which plots the job at `at` has, and show them in `place`. */
export async function showPlots(place, at) {
  place.replaceChildren(element("p", { class: "note", role: "status" }, "They are being drawn …"));
  try {
    const { plots } = await call("GET", `${at}/plots`);
    const first = plots.filter((plot) => FIRST.includes(plot.name));
    const others = plots.filter((plot) => !FIRST.includes(plot.name));
    const more = element("details", {}, element("summary", {}, `${others.length} more pictures`), ...others.map(figure));
    place.replaceChildren(...first.map(figure), ...(others.length ? [more] : []));
  } catch (problem) {
    place.replaceChildren(element("p", { class: "trouble" }, problem.message));
  }
}

function figure(plot) {
  const address = (theme, width) => `${plot.link}?format=svg&theme=${theme}&width=${width}`;
  const source = (media, theme, width) => element("source", { media, srcset: address(theme, width) });
  const phone = "(max-width: 40rem)";
  const dark = "(prefers-color-scheme: dark)";
  return element(
    "figure",
    { id: `plot-${plot.name}` },
    element(
      "picture",
      {},
      source(`${phone} and ${dark}`, "dark", PHONE_PIXELS),
      source(phone, "light", PHONE_PIXELS),
      source(dark, "dark", PAGE_PIXELS),
      element("img", { src: address("light", PAGE_PIXELS), alt: `${plot.subject}: ${plot.title}`, width: PAGE_PIXELS, loading: "lazy" }),
    ),
  );
}
