
(() => {
  // Enlarge pictures: click or enter opens, arrow keys go on, escape or a click closes.
  const pictures = [...document.querySelectorAll("button.zoom")];
  const dialog = document.createElement("dialog");
  const close = document.createElement("button");
  const words = document.createElement("p");
  let shown = 0;
  const show = (index) => {
    shown = (index + pictures.length) % pictures.length;
    const caption = pictures[shown].parentElement.querySelector("figcaption");
    words.textContent = `${caption ? caption.textContent + " · " : ""}${shown + 1} of ${pictures.length}`;
    dialog.replaceChildren(pictures[shown].querySelector("img").cloneNode(), words, close);
    if (!dialog.open) dialog.showModal();
    close.focus();
  };
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Enlarged picture");
  close.type = "button";
  close.textContent = "Close";
  document.body.append(dialog);
  pictures.forEach((button, index) => button.addEventListener("click", () => show(index)));
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.replaceChildren());
  dialog.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) {
      event.preventDefault();
      show(shown + step);
    }
  });

  // Copy commands. Where the clipboard is out of reach, the text is selected for the reader to copy.
  for (const button of document.querySelectorAll("button.copy")) {
    const code = button.parentElement.querySelector("code");
    button.setAttribute("aria-live", "polite");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    button.hidden = false;
  }
})();
