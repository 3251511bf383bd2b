// Remembers the reader's font size. The pages need no script for anything else.
(function () {
  var root = document.documentElement;
  var box = document.querySelector(".sizes");
  if (!box) return;
  var saved = null;
  try { saved = localStorage.getItem("size"); } catch (e) { /* kept for this page only */ }
  function choose(size) {
    root.setAttribute("data-size", size);
    box.querySelectorAll("button").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.dataset.size === size));
    });
  }
  box.hidden = false;
  box.addEventListener("click", function (event) {
    var size = event.target.dataset && event.target.dataset.size;
    if (!size) return;
    choose(size);
    try { localStorage.setItem("size", size); } catch (e) { /* kept for this page only */ }
  });
  if (saved === "s" || saved === "l") choose(saved);
})();
