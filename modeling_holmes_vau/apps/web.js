(() => {
  const film = () => document.querySelector("#film video");
  let curve = null;

  function seek(time) {
    if (curve) curve.playing(time);
    const video = film();
    if (!video) return;
    video.currentTime = time;
    video.play().catch(() => {}); // a browser may want a click before it plays
  }

  function bind() {
    const plot = document.querySelector("#curve .plot:not([role])");
    if (plot) curve = followCurve(plot, seek);
    document.querySelectorAll(".holmes .seek[disabled]").forEach((button) => { button.disabled = false; });
    const video = film();
    if (video && !video.dataset.followed) {
      video.dataset.followed = "yes";
      video.addEventListener("timeupdate", () => curve && curve.playing(video.currentTime));
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".holmes .seek");
    if (button) seek(Number(button.dataset.s));
  });
  new MutationObserver(bind).observe(document.documentElement, { childList: true, subtree: true });
})();
