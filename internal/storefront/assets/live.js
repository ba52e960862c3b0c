// Keeps an open page up to date: the server sends pieces of the page over one
// event stream, and each replaces the element with its id. The page is complete
// without this script.
(() => {
  let source = document.body.dataset.live;
  if (!source || !window.EventSource) return;

  let stream = null;
  let seen = null;

  const swap = (fresh) => {
    const current = document.getElementById(fresh.id);
    if (!current || current.outerHTML === fresh.outerHTML) return;
    const arrived = document.importNode(fresh, true);
    arrived.classList.add("changed");
    current.replaceWith(arrived);
    setTimeout(() => arrived.classList.remove("changed"), 1500);
  };

  const showFragment = (message) => {
    seen = message.lastEventId || seen;
    const template = document.createElement("template");
    template.innerHTML = message.data;
    template.content.querySelectorAll("[data-live-fragment]").forEach(swap);
  };

  // The server cannot tell what this page missed: take all pieces from a
  // fresh copy of the page, and leave what the shopper typed as it is.
  const resync = async () => {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    page.querySelectorAll("[data-live-fragment]").forEach(swap);
    source = page.body.dataset.live || source;
    seen = null;
  };

  const open = () => {
    if (stream) return;
    const address = new URL(source, location.href);
    if (seen) address.searchParams.set("since", seen);
    stream = new EventSource(address);
    stream.addEventListener("fragment", showFragment);
    stream.addEventListener("resync", () => resync().catch(() => {}));
    stream.onerror = () => {
      // A refused stream is closed for good by the browser; try again later.
      if (stream && stream.readyState === EventSource.CLOSED) {
        close();
        setTimeout(openIfVisible, 3000 + Math.random() * 4000);
      }
    };
  };

  const close = () => {
    if (!stream) return;
    stream.close();
    stream = null;
  };

  // Browsers open only six connections to a host over HTTP/1.1, so a page in
  // a hidden tab gives its own back.
  const openIfVisible = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", openIfVisible);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => {
    if (event.persisted) resync().catch(() => {});
    openIfVisible();
  });
  openIfVisible();
})();
