// A page, live: takes rendered HTML from the plane and changes only what differs. Everything on a
// page is there without this script; it adds live updates, pause and keys where the page has them.
"use strict";

(() => {
  const main = document.getElementById("main");
  const say = document.getElementById("live-words");
  const pause = document.getElementById("pause");
  const search = document.getElementById("q");
  const dialog = document.getElementById("go");
  let stream = null;

  // --- Live ---------------------------------------------------------------

  function open() {
    say.textContent = "connecting";
    stream = new EventSource(main.dataset.events);
    stream.addEventListener("now", (event) => {
      const fresh = document.createElement("template");
      fresh.innerHTML = event.data;
      morph(main, fresh.content);
      say.textContent = "live";
    });
    stream.addEventListener("end", () => {
      close();
      say.textContent = "the plane has stopped";
    });
    stream.onerror = () => {
      const isOver = stream !== null && stream.readyState === EventSource.CLOSED;
      say.textContent = isOver ? "not live: reload to try again" : "connection lost, trying again";
    };
  }

  function close() {
    if (stream !== null) stream.close();
    stream = null;
  }

  function setLive(isLive) {
    main.dataset.live = isLive ? "on" : "off";
    pause.textContent = isLive ? "Pause" : "Resume";
    const url = new URL(location.href);
    if (isLive) url.searchParams.delete("live");
    else url.searchParams.set("live", "off");
    history.replaceState(null, "", url);
    close();
    if (isLive) open();
    else say.textContent = "paused";
  }

  // Makes `old` like `fresh`, keeping nodes that stand in the same place, so that focus, selection
  // and scrolling survive. Only changed attributes and texts are touched.
  function morph(old, fresh) {
    const wanted = Array.from(fresh.childNodes);
    wanted.forEach((node, place) => {
      const mine = old.childNodes[place];
      if (mine === undefined) old.appendChild(node);
      else if (mine.nodeType !== node.nodeType || mine.nodeName !== node.nodeName || mine.id !== node.id) mine.replaceWith(node);
      else if (node.nodeType === Node.ELEMENT_NODE) {
        for (const { name } of Array.from(mine.attributes)) if (!node.hasAttribute(name)) mine.removeAttribute(name);
        for (const { name, value } of node.attributes) if (mine.getAttribute(name) !== value) mine.setAttribute(name, value);
        morph(mine, node);
      } else if (mine.nodeValue !== node.nodeValue) mine.nodeValue = node.nodeValue;
    });
    while (old.childNodes.length > wanted.length) old.lastChild.remove();
  }

  // --- Keys ---------------------------------------------------------------

  function places(words) {
    const links = Array.from(document.querySelectorAll("#places a"));
    const list = document.getElementById("go-places");
    list.replaceChildren(
      ...links
        .filter((link) => link.textContent.toLowerCase().includes(words.toLowerCase()))
        .map((link) => {
          const item = document.createElement("li");
          item.append(link.cloneNode(true));
          return item;
        }),
    );
  }

  function goTo() {
    const input = document.getElementById("go-to");
    input.value = "";
    places("");
    dialog.showModal();
  }

  document.getElementById("go-to").addEventListener("input", (event) => places(event.target.value));
  dialog.addEventListener("submit", (event) => {
    event.preventDefault();
    const first = document.querySelector("#go-places a");
    dialog.close();
    if (first !== null) first.click();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("a")) dialog.close();
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = { "/": search && (() => search.select()), ":": goTo, p: pause && (() => pause.click()) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  if (pause === null) return;

  pause.addEventListener("click", (event) => {
    event.preventDefault();
    setLive(main.dataset.live !== "on");
  });
  pause.addEventListener("keydown", (event) => {
    if (event.key === " ") {
      event.preventDefault();
      pause.click();
    }
  });

  if (main.dataset.live === "on") open();
})();
