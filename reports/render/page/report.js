"use strict";
// Filters cards and table rows; without it everything is shown.
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const words = document.getElementById("words");
  const boxes = [...form.querySelectorAll("input[name=advice]")];
  const count = document.getElementById("count");
  const none = document.getElementById("none");
  // Not that of the advice followed, which is about all scenarios.
  const cards = [...document.querySelectorAll(".card[data-advice]")];
  const rows = [...document.querySelectorAll("#cells tbody tr")];

  function apply() {
    const asked = words.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    const advices = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const fits = (item) =>
      advices.has(item.dataset.advice) &&
      (!asked.length || asked.some((word) => item.dataset.scenario.toLowerCase().includes(word)));
    for (const item of [...cards, ...rows]) item.hidden = !fits(item);
    const shown = cards.filter((card) => !card.hidden).length;
    count.textContent = `${shown} of ${cards.length} cards`;
    none.hidden = shown > 0;
  }

  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
})();
