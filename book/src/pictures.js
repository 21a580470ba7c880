// Draws the diagrams of a page, in the colours of the window. Where scripts or the
// library are missing, their text stays.
const blocks = document.querySelectorAll("code.language-mermaid");
if (window.mermaid) {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  mermaid.initialize({ startOnLoad: false, theme: dark ? "dark" : "default",
    state: { nodeSpacing: 100 } });
  for (const [i, code] of blocks.entries()) {
    mermaid.render(`picture-${i}`, code.textContent).then(({ svg }) => {
      const figure = document.createElement("figure");
      figure.innerHTML = svg;
      code.parentElement.replaceWith(figure);
    });
  }
}
