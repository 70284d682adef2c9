/**
 * Tabs of what stands below each other without a script: `data-tabs` names the list, and each
 * section's `data-tab` its tab. Arrow keys, Home and End go through them (WAI-ARIA's pattern).
 */
export function showTabs() {
  document.querySelectorAll("[data-tabs]").forEach(make);
}

function make(holder, place) {
  const list = document.createElement("div");
  list.className = "tabs";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", holder.dataset.tabs);
  const panels = [...holder.querySelectorAll(":scope > [data-tab]")];
  const tabs = panels.map((panel, index) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = panel.dataset.tab;
    tab.id = `tab-${place}-${index}`;
    panel.id ||= `panel-${place}-${index}`;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", tab.id);
    tab.addEventListener("click", () => choose(index));
    return tab;
  });
  const choose = (chosen) => {
    tabs.forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === chosen));
      tab.tabIndex = index === chosen ? 0 : -1;
      panels[index].hidden = index !== chosen;
    });
  };
  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const chosen = (next + tabs.length) % tabs.length;
    choose(chosen);
    tabs[chosen].focus();
  });
  list.append(...tabs);
  holder.prepend(list);
  choose(0);
}
