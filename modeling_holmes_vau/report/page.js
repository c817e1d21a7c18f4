(() => {
  const player = document.querySelector(".player");
  const video = document.querySelector("video");
  const plot = document.querySelector(".plot"); // none of a video that was not scored
  const curve = plot ? followCurve(plot, seek) : { playing() {} };
  let plays = false;

  function seek(time) {
    curve.playing(time);
    if (!plays) return;
    video.currentTime = time;
    video.play().catch(() => {}); // a browser may want a click before it plays
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".seek");
    if (button) seek(Number(button.dataset.s));
  });

  function follow() { // report.html#t=12.5
    const time = /^#t=([\d.]+)$/.exec(location.hash);
    if (time) seek(Number(time[1]));
  }

  function ready() {
    plays = true;
    player.hidden = false;
    document.body.classList.add("plays");
    document.querySelectorAll(".seek").forEach((button) => { button.disabled = false; });
    follow();
  }

  window.addEventListener("hashchange", follow);
  follow();
  if (video) {
    video.addEventListener("timeupdate", () => curve.playing(video.currentTime));
    if (video.readyState > 0) ready();
    else video.addEventListener("loadedmetadata", ready);
  }
})();
