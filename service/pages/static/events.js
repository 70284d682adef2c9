/** A job's changes as they happen: server-sent events, or asking again where there are none. */

import { call } from "./api.js";

const KINDS = ["progress", "best", "state", "warning"];
const ENDED = ["succeeded", "failed", "cancelled"];
const POLL_SECONDS = 1;

/**
 * Call `changed()` whenever the job at `address` (`/v1/jobs/...`) has changed, and `ended()` once.
 *
 * A page that nobody looks at has no stream: browsers open six connections to a service at most.
 */
export function follow(address, changed, ended) {
  let source = null;
  function listen() {
    source = new EventSource(`${address}/events`);
    for (const kind of KINDS) source.addEventListener(kind, changed);
    source.addEventListener("end", () => {
      source.close();
      ended();
    });
    source.addEventListener("error", () => {
      // Browsers connect again by themselves, but not where the service refuses to stream.
      if (source.readyState !== EventSource.CLOSED) return;
      document.removeEventListener("visibilitychange", look);
      poll(address, changed, ended);
    });
  }
  function look() {
    source?.close();
    if (!document.hidden) listen(); // which tells at once what has been missed
  }
  document.addEventListener("visibilitychange", look);
  look();
}

/** Ask for the job every second while the page is looked at. */
function poll(address, changed, ended) {
  let last = "";
  const timer = setInterval(async () => {
    if (document.hidden) return;
    const job = await call("GET", address).catch(() => null);
    if (job === null) return; // away for a moment
    const seen = JSON.stringify(job);
    if (seen !== last) changed();
    last = seen;
    if (ENDED.includes(job.state)) {
      clearInterval(timer);
      ended();
    }
  }, POLL_SECONDS * 1000);
}
