"use strict";
// Sections that have all words, those with the words in their heading first.
const field = document.getElementById("search");
const found = document.getElementById("found");

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const hits = [];
  for (const [page, title, address, body] of SECTIONS) {
    const heading = (page + " " + title).toLowerCase();
    const all = heading + " " + body.toLowerCase();
    if (!words.every((word) => all.includes(word))) continue;
    hits.push({ page, title, address, rank: words.filter((word) => heading.includes(word)).length });
  }
  return hits.sort((a, b) => b.rank - a.rank).slice(0, 30);
}

function show() {
  found.replaceChildren(
    ...search(field.value).map(({ page, title, address }) => {
      const link = document.createElement("a");
      link.href = address;
      link.textContent = page === title ? page : `${page}: ${title}`;
      const item = document.createElement("li");
      item.append(link);
      return item;
    }),
  );
}

field.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== field) {
    event.preventDefault();
    field.focus();
  }
});

// In a narrow window the pages stand in front of the page: they are shown when asked for.
document.getElementById("contents").open = !matchMedia("(max-width: 50rem)").matches;
