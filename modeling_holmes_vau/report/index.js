"use strict";
(() => {
  const form = document.querySelector(".filter");
  const rows = [...document.querySelectorAll(".videos > li")];

  function filter() {
    const wanted = form.elements.class.value;
    const needed = form.elements.events.checked;
    for (const row of rows) {
      const fits = !wanted || row.dataset.classes.split("|").includes(wanted);
      row.hidden = !fits || (needed && row.dataset.events === "0");
    }
    const shown = rows.filter((row) => !row.hidden).length;
    form.querySelector("output").textContent = shown < rows.length ? `${shown} of ${rows.length} shown` : "";
  }

  form.hidden = false; // without this script it would do nothing
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter(); // a reload keeps what was chosen
})();
