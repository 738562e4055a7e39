// The page works without this: it only adds keys to the enlarged picture.
addEventListener("keydown", (event) => {
  const open = document.querySelector("figure:target");
  if (!open) return;
  const item = open.parentElement;
  const next = { ArrowRight: item.nextElementSibling, ArrowLeft: item.previousElementSibling }[event.key];
  if (event.key === "Escape") location.hash = item.id;
  else if (next) location.replace("#" + next.querySelector("figure").id);
  else return;
  event.preventDefault();
});
