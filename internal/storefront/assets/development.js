// Shows at the foot of a page, in development, what the HTTP cache did with it. The
// server tells it by Server-Timing.
(() => {
  const navigation = performance.getEntriesByType("navigation")[0];
  const told = navigation && navigation.serverTiming.find((timing) => timing.name === "cache");
  const foot = document.getElementById("cache-status");
  if (!told || !foot) return;
  foot.textContent = "HTTP cache: " + told.description;
  foot.hidden = false;
})();
