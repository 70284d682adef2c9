/**
 * Pages stay as they are so now: the page is fetched again, and its parts that are marked `data-live`
 * take the place of those shown where they differ. The server alone writes HTML, escaped.
 *
 * Each part has an id. A part that holds parts of its own is compared by those: only what has
 * changed is replaced, so that focus and ticks stay.
 */

/** Fetch this page again and show what has changed. */
export async function refresh() {
  const response = await fetch(location.href, { cache: "no-store" });
  if (!response.ok) throw new Error(`the page answers ${response.status}`);
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    if (!other) return location.reload(); // it is another page by now
    if (part.isConnected) show(part, other);
  }
}

function show(part, other) {
  if (part.isEqualNode(other)) return;
  if (part.dataset.live === "list") return showList(part, other);
  part.className = other.className;
  part.replaceChildren(...other.childNodes);
}

/** Children with ids are kept where they are in both, cell by cell; others come and go. */
function showList(list, other) {
  const kept = new Map([...list.children].map((child) => [child.id, child]));
  const children = [...other.children].map((child) => {
    const own = kept.get(child.id);
    if (!own) return child;
    showCells(own, child);
    return own;
  });
  if (children.some((child, place) => list.children[place] !== child) || list.children.length !== children.length)
    list.replaceChildren(...children);
}

function showCells(own, other) {
  own.className = other.className;
  [...other.children].forEach((cell, place) => {
    const shown = own.children[place];
    if (shown && !shown.isEqualNode(cell)) shown.replaceWith(cell);
  });
}

/** Refresh every so often while the page is looked at; a failure waits for the next time. */
export function keepFresh(seconds, then = () => {}) {
  let running = false;
  const tick = async () => {
    if (document.hidden || running) return;
    running = true;
    try {
      await refresh();
      then();
    } catch {
      // The service is away for a moment: what is shown stays.
    } finally {
      running = false;
    }
  };
  setInterval(tick, seconds * 1000);
  document.addEventListener("visibilitychange", tick);
}
