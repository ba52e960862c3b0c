// Counts down to the times on a page. Without this script, the page shows each
// time in words.
(() => {
  const two = (number) => String(number).padStart(2, "0");

  const clock = (seconds) => {
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    const rest = two(seconds % 60);
    return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
  };

  const show = () => {
    document.querySelectorAll("time[data-countdown]").forEach((time) => {
      const seconds = Math.max(0, Math.ceil((Date.parse(time.dateTime) - Date.now()) / 1000));
      // The page already shows the date, which is clearer than a count of many hours.
      if (seconds >= 48 * 3600) return;
      const words = `${time.dataset.countdown} ${clock(seconds)}`;
      if (time.textContent !== words) time.textContent = words;
    });
  };

  if (!document.querySelector("time[data-countdown]")) return;
  show();
  setInterval(show, 1000);
})();
