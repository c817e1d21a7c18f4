"use strict";
// A plot of scores that tells the value under the pointer or at the arrow keys, and asks to `seek` a time.
function followCurve(plot, seek) {
  const cursor = plot.querySelector(".cursor");
  const playhead = plot.querySelector(".playhead");
  const tip = plot.querySelector(".tip");
  const points = plot.dataset.points.split(" ").map((pair) => pair.split(",").map(Number));
  const start = Number(plot.dataset.start);
  const end = Number(plot.dataset.end);
  const decimals = Number(plot.dataset.decimals);
  let current = 0; // the point that is shown

  function clock(time) {
    const units = 10 ** decimals;
    const total = Math.round(time * units);
    const seconds = Math.floor(total / units);
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    const fraction = decimals ? "." + String(total % units).padStart(decimals, "0") : "";
    return (hours ? `${hours}:${two(minutes)}` : minutes) + ":" + two(seconds % 60) + fraction;
  }

  function place(line, time) {
    const share = (time - start) / (end - start);
    line.hidden = share < 0 || share > 1;
    line.style.left = `${100 * share}%`;
    return share;
  }

  function show(index) {
    current = Math.min(Math.max(index, 0), points.length - 1);
    const [time, score] = points[current];
    const share = place(cursor, time);
    tip.textContent = `${clock(time)}  score ${score.toFixed(2)}`;
    tip.style.left = `${100 * share}%`;
    tip.style.transform = `translateX(${-100 * share}%)`; // stays within the plot
    tip.hidden = false;
    plot.setAttribute("aria-valuenow", time);
    plot.setAttribute("aria-valuetext", `${clock(time)}, score ${score.toFixed(2)}`);
  }

  function hide() {
    cursor.hidden = tip.hidden = true;
  }

  function nearest(time) {
    let best = 0;
    points.forEach(([other], index) => {
      if (Math.abs(other - time) < Math.abs(points[best][0] - time)) best = index;
    });
    return best;
  }

  function timeAt(event) {
    const box = plot.getBoundingClientRect();
    return start + Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * (end - start);
  }

  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-label", "Anomaly score; arrows move in time, Enter plays from there");
  plot.setAttribute("aria-valuemin", start);
  plot.setAttribute("aria-valuemax", end);
  plot.setAttribute("aria-valuenow", points[0][0]);
  plot.addEventListener("pointermove", (event) => show(nearest(timeAt(event))));
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("click", (event) => {
    show(nearest(timeAt(event)));
    seek(timeAt(event));
  });
  plot.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 };
    if (event.key in steps) show(current + steps[event.key]);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(points.length - 1);
    else if (event.key === "Enter" || event.key === " ") seek(points[current][0]);
    else return;
    event.preventDefault();
  });
  return { playing: (time) => place(playhead, time) };
}
