// Keeps an open page up to date: the server sends pieces of the page over one
// event stream, and each replaces the element with its id. Where no events
// come, the page asks for its pieces every few seconds. It is complete without
// this script.
(() => {
  let source = document.body.dataset.live;
  if (!source || !window.EventSource) return;

  const usualPause = 7500; // between two questions, in milliseconds
  const longestPause = 60000;
  const spread = 5000; // over which all open pages fetch themselves anew
  const patience = 15000; // for one answer

  let stream = null;
  let seen = null; // number of the last event
  let failures = 0; // of streams, one after the other
  let reopening = 0;
  let asking = null; // while this page asks by itself: its timer and pause
  let resyncing = 0;
  let held = null; // fragments that come while a fresh page is on its way

  // Two pages that begin together do not go on together.
  const about = (pause) => pause * (0.67 + Math.random() * 0.67);

  const swap = (fresh) => {
    const current = document.getElementById(fresh.id);
    if (!current || current.outerHTML === fresh.outerHTML) return;
    // An element that changed a moment ago is marked, and still the same.
    const marked = current.cloneNode(true);
    marked.classList.remove("changed");
    if (marked.outerHTML === fresh.outerHTML) return;
    const arrived = document.importNode(fresh, true);
    arrived.classList.add("changed");
    current.replaceWith(arrived);
    setTimeout(() => arrived.classList.remove("changed"), 1500);
  };

  const show = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    template.content.querySelectorAll("[data-live-fragment]").forEach(swap);
  };

  const showFragment = (message) => {
    seen = message.lastEventId || seen;
    if (held) held.push(message);
    else show(message.data);
  };

  // Asking by itself: while the server hears no events, or gives no stream.

  const ask = async () => {
    const mine = asking;
    const address = new URL(source, location.href);
    address.pathname += "/fragments";
    address.searchParams.delete("since");
    try {
      const response = await fetch(address, { signal: AbortSignal.timeout(patience) });
      const html = response.ok ? await response.text() : "";
      if (mine !== asking) return; // events come again, and are newer
      if (response.ok) {
        show(html);
        mine.pause = usualPause;
      } else {
        const told = 1000 * Number(response.headers.get("Retry-After")) || 0;
        mine.pause = Math.min(Math.max(2 * mine.pause, told), longestPause);
      }
    } catch {
      mine.pause = Math.min(2 * mine.pause, longestPause);
    }
    if (mine === asking) mine.timer = setTimeout(ask, about(mine.pause));
  };

  const beginAsking = () => {
    if (asking || document.hidden) return;
    asking = { pause: usualPause };
    // All pages learn of it in the same moment.
    asking.timer = setTimeout(ask, Math.random() * usualPause);
  };

  const stopAsking = () => {
    if (asking) clearTimeout(asking.timer);
    asking = null;
  };

  // The server cannot tell what this page missed: take all pieces from a
  // fresh copy of the page, and leave what the shopper typed as it is.

  const resync = async () => {
    resyncing = 0;
    held = [];
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience) });
      // A kept copy of the page may be older than this one is.
      if (!response.ok || response.headers.has("X-Served-Stale")) throw new Error(response.status);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      page.querySelectorAll("[data-live-fragment]").forEach(swap);
      source = page.body.dataset.live || source;
      const since = Number(new URL(source, location.href).searchParams.get("since"));
      const newer = held.filter((message) => Number(message.lastEventId) > since);
      newer.forEach((message) => show(message.data));
      if (newer.length === 0) seen = null;
      stopAsking();
    } catch {
      held.forEach((message) => show(message.data));
      resyncSoon(4 * spread);
    } finally {
      held = null;
    }
  };

  const resyncSoon = (within) => {
    if (!resyncing && !held) resyncing = setTimeout(resync, Math.random() * within);
  };

  const open = () => {
    if (stream) return;
    const address = new URL(source, location.href);
    if (seen) address.searchParams.set("since", seen);
    stream = new EventSource(address);
    stream.addEventListener("fragment", showFragment);
    stream.addEventListener("live", () => {
      failures = 0;
      stopAsking();
    });
    stream.addEventListener("degraded", () => {
      failures = 0;
      beginAsking();
    });
    stream.addEventListener("resync", () => resyncSoon(spread));
    stream.onerror = () => {
      failures += 1;
      // A refused stream is closed for good by the browser; try again later.
      if (stream && stream.readyState === EventSource.CLOSED) {
        closeStream();
        clearTimeout(reopening);
        reopening = setTimeout(openIfVisible, about(usualPause));
        beginAsking();
      }
      // Each stream ends in an error after its time; many in a row do not.
      if (failures > 2) beginAsking();
    };
  };

  const closeStream = () => {
    if (stream) stream.close();
    stream = null;
  };

  const close = () => {
    closeStream();
    stopAsking();
    clearTimeout(reopening);
    clearTimeout(resyncing);
    if (resyncing) seen = "0"; // what was missed then is still missing
    resyncing = 0;
    failures = 0;
  };

  // Browsers open only six connections to a host over HTTP/1.1, so a page in
  // a hidden tab gives its own back.
  const openIfVisible = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", openIfVisible);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => {
    if (event.persisted) resyncSoon(0);
    openIfVisible();
  });
  openIfVisible();
})();
