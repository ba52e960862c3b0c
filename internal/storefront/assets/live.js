// Updates an open page: the server sends fragments of the page over one event
// stream, and each replaces the element with its id. While no events come, the
// page polls for its fragments every few seconds. The page is complete without
// this script.
(() => {
  let source = document.body.dataset.live;
  if (!source || !window.EventSource) return;

  const usualPause = 7500; // between two polls, in milliseconds
  const longestPause = 60000;
  const spread = 5000; // in which all open pages reload their fragments, not all at once
  const patience = 15000; // for one reply

  let stream = null;
  let seen = null; // number of the last event
  let failures = 0; // of streams, one after the other
  let reopening = 0;
  let asking = null; // while this page polls: its timer and pause
  let resyncing = 0;
  let held = null; // fragments that arrive while a fresh page loads

  // Random, so that pages that start together do not poll together.
  const about = (pause) => pause * (0.67 + Math.random() * 0.67);

  const swap = (fresh) => {
    const current = document.getElementById(fresh.id);
    if (!current || current.outerHTML === fresh.outerHTML) return;
    // The mark of a recent change is not a difference.
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

  // The page polls while the server receives no events or refuses a stream.

  const ask = async () => {
    const mine = asking;
    const address = new URL(source, location.href);
    address.pathname += "/fragments";
    address.searchParams.delete("since");
    try {
      const response = await fetch(address, { signal: AbortSignal.timeout(patience) });
      const html = response.ok ? await response.text() : "";
      if (mine !== asking) return; // events arrive again, and are newer
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
    // Random, because all pages start to poll at the same moment.
    asking.timer = setTimeout(ask, Math.random() * usualPause);
  };

  const stopAsking = () => {
    if (asking) clearTimeout(asking.timer);
    asking = null;
  };

  // The server does not know which events this page missed: take all fragments
  // from a fresh copy of the page, and leave what the shopper typed as it is.

  const resync = async () => {
    resyncing = 0;
    held = [];
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(patience) });
      // A cached copy of the page may be older than this page.
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
      // The browser closes a refused stream for good, so open a new one later.
      if (stream && stream.readyState === EventSource.CLOSED) {
        closeStream();
        clearTimeout(reopening);
        reopening = setTimeout(openIfVisible, about(usualPause));
        beginAsking();
      }
      // A stream that reaches its lifetime ends in one error; several in a row are a failure.
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
    if (resyncing) seen = "0"; // the missed events are still missing
    resyncing = 0;
    failures = 0;
  };

  // Browsers open only six connections to a host over HTTP/1.1, so a page in
  // a hidden tab closes its stream.
  const openIfVisible = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", openIfVisible);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => {
    if (event.persisted) resyncSoon(0);
    openIfVisible();
  });
  openIfVisible();
})();
