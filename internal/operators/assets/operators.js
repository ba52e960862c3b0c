// Improves the pages of operators, which work without it: the parts that
// change are refreshed while somebody looks, rows can be selected together, and keys
// open what a pointer can.
(() => {
  const every = Number(document.body.dataset.refreshEvery ?? 3); // seconds between two refreshes
  const longestPause = 30000;
  const patience = 10000; // for one reply
  const storageKey = "operators-live";

  // Live refresh

  const liveSwitch = document.querySelector("[data-live-switch]");
  const parts = () => document.querySelectorAll("[data-refresh]");
  let live = remembered() !== "off";
  let failures = 0;
  let timer = 0;

  function remembered() {
    try {
      return sessionStorage.getItem(storageKey);
    } catch {
      return null;
    }
  }

  // A part is left alone while somebody works in it.
  const inUse = (part) =>
    (part.contains(document.activeElement) && document.activeElement.matches("input, textarea, button, summary")) ||
    part.querySelector("input:checked") !== null;

  const swap = (part, fresh) => {
    if (!fresh || part.outerHTML === fresh.outerHTML || inUse(part)) return;
    const opened = [...part.querySelectorAll("details")].map((one) => one.open);
    const row = here && part.contains(here) ? rows().indexOf(here) : -1;
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const arrived = document.importNode(fresh, true);
    arrived.querySelectorAll("details").forEach((one, i) => {
      if (i < opened.length) one.open = opened[i];
    });
    part.replaceWith(arrived);
    if (row >= 0) mark(rows()[row]);
    if (focused) arrived.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  };

  const refresh = async () => {
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience) });
      if (!response.ok) throw new Error(response.status);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      if (!live || document.hidden) return;
      parts().forEach((part) => swap(part, page.getElementById(part.id)));
      failures = 0;
    } catch {
      failures += 1;
    }
    show();
    schedule();
  };

  const schedule = () => {
    clearTimeout(timer);
    if (live && !document.hidden && parts().length > 1) {
      timer = setTimeout(refresh, Math.min(every * 1000 * 2 ** failures, longestPause));
    }
  };

  const show = () => {
    if (!liveSwitch) return;
    liveSwitch.setAttribute("aria-pressed", String(live));
    liveSwitch.textContent = live ? "Live" : "Paused";
    liveSwitch.classList.toggle("failing", live && failures > 0);
    liveSwitch.title = failures > 0 && live ? "The last refresh failed" : `Refreshes every ${every} seconds (l)`;
  };

  const toggleLive = () => {
    live = !live;
    try {
      sessionStorage.setItem(storageKey, live ? "on" : "off");
    } catch {
      // Without storage, the choice holds for this page.
    }
    failures = 0;
    show();
    if (live) refresh();
    else clearTimeout(timer);
  };

  // Selection

  const selection = () => document.querySelector("[data-selection]");
  const boxes = () => [...(selection()?.querySelectorAll('tbody input[type="checkbox"]') ?? [])];
  const countSelected = () => {
    const chosen = boxes().filter((box) => box.checked).length;
    document.querySelectorAll("[data-needs-selection]").forEach((button) => {
      button.disabled = chosen === 0;
    });
    const all = document.querySelector("[data-all]");
    if (all) {
      all.checked = chosen > 0 && chosen === boxes().length;
      all.indeterminate = chosen > 0 && chosen < boxes().length;
    }
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) {
      boxes().forEach((box) => {
        box.checked = event.target.checked;
      });
    }
    countSelected();
  });

  // Keys

  let here = null;
  let opening = false; // g was pressed
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const mark = (row) => {
    here?.classList.remove("here");
    here = row ?? null;
    here?.classList.add("here");
    here?.scrollIntoView({ block: "nearest" });
  };
  const step = (by) => {
    const all = rows();
    if (all.length === 0) return;
    const next = all.indexOf(here) + by;
    mark(all[Math.max(0, Math.min(all.length - 1, here ? next : 0))]);
  };
  const keys = document.getElementById("keys");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (opening) {
      opening = false;
      const link = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
      if (link) {
        event.preventDefault();
        link.click();
        return;
      }
    }
    switch (event.key) {
      case "g":
        opening = true;
        break;
      case "/": {
        const filter = document.querySelector("[data-filter]");
        if (!filter) return;
        event.preventDefault();
        filter.focus();
        filter.select();
        break;
      }
      case "j":
        step(1);
        break;
      case "k":
        step(-1);
        break;
      case "Enter":
        if (here && document.activeElement === document.body) here.querySelector("[data-open]")?.click();
        break;
      case "x":
        here?.querySelector('input[type="checkbox"]')?.click();
        break;
      case "l":
        toggleLive();
        break;
      case "?":
        keys?.showModal();
        break;
    }
  });

  const keysSwitch = document.querySelector("[data-keys-switch]");
  if (keysSwitch && keys) {
    keysSwitch.hidden = false;
    keysSwitch.addEventListener("click", () => keys.showModal());
  }
  if (liveSwitch && parts().length > 1) {
    liveSwitch.hidden = false;
    liveSwitch.addEventListener("click", toggleLive);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) clearTimeout(timer);
      else if (live) refresh();
    });
    addEventListener("pagehide", () => clearTimeout(timer));
    show();
    schedule();
  }
  // A reload must not say once more what an action did.
  const said = new URL(location.href);
  if (said.searchParams.has("said")) {
    said.searchParams.delete("said");
    history.replaceState(history.state, "", said.pathname + said.search);
  }
  countSelected();
})();
