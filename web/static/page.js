// What makes the page livelier. Without it everything works but live refresh, keys and local times.
(() => {
  "use strict";
  const root = document.documentElement;
  const store = {
    get: (name) => { try { return localStorage.getItem(`lamplighter.${name}`); } catch { return null; } },
    set: (name, value) => { try { localStorage.setItem(`lamplighter.${name}`, value); } catch { /* private window */ } },
  };
  const THEMES = ["auto", "light", "dark"];

  const theme = (chosen) => {
    if (chosen === "auto") root.removeAttribute("data-theme"); else root.setAttribute("data-theme", chosen);
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${chosen}`;
    store.set("theme", chosen);
  };

  const relative = (seconds) => {
    const past = seconds >= 0, size = Math.abs(seconds);
    const [value, unit] = size < 100 ? [size, "s"] : size < 6000 ? [size / 60, "min"]
      : size < 172800 ? [size / 3600, "h"] : [size / 86400, "d"];
    const text = `${Math.round(value)} ${unit}`;
    return past ? `${text} ago` : `in ${text}`;
  };

  const times = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      const local = at.toLocaleString();
      time.title = `${local} (${time.dateTime})`;
      time.textContent = time.hasAttribute("data-relative") ? relative((Date.now() - at) / 1000) : local;
    }
  };

  const main = () => document.querySelector("main");
  const isTyping = (element) => element.closest("input:not([type=checkbox]), textarea, select, dialog[open]") !== null;

  const refresh = () => {
    const active = document.activeElement;
    // A form that is being filled in is left as it is.
    if (document.hidden || (active && isTyping(active)) || document.querySelector("form [data-changed]")) return;
    htmx.trigger(main(), "stale");
  };

  const listen = () => {
    const address = document.body.dataset.live;
    if (!address) return;
    let failures = 0;
    const open = () => {
      if (document.hidden) return;
      const source = new EventSource(address);
      source.addEventListener("stale", refresh);
      source.addEventListener("open", () => { failures = 0; });
      source.addEventListener("error", () => {
        // A server without streams answers at once with nothing: ask now and then instead.
        failures += 1;
        if (source.readyState === EventSource.CLOSED || failures > 3) { source.close(); poll(5); }
      });
      document.addEventListener("visibilitychange", () => {
        if (document.hidden) source.close(); else { refresh(); open(); }
      }, { once: true });
    };
    open();
    const every = Number(main().dataset.every);
    if (every) poll(every);
  };
  let polling = null;
  const poll = (seconds) => {
    if (polling === null) polling = setInterval(refresh, seconds * 1000);
  };

  // What is done to many jobs is followed as it is done, and ends when nobody follows. A server without streams answers
  // with nothing, and is then asked for one part after the other.
  let stop;
  const show = (html) => {
    const here = main(), next = new DOMParser().parseFromString(html, "text/html").querySelector("main");
    const button = here.querySelector("[data-stop]");
    if (!button || !next.querySelector("[data-stop]")) { here.replaceChildren(...next.childNodes); return; }
    // The button that stops it stays, with its focus, and with a press of it that is under way.
    here.querySelector(".notice").textContent = next.querySelector(".notice").textContent;
    here.querySelector("progress").value = next.querySelector("progress").value;
    button.form.elements.done.value = next.querySelector("[name=done]").value;
  };
  const sweep = async (form, button) => {
    stop = new AbortController();
    const response = await fetch(form.action, { method: "POST", headers: { Accept: "text/event-stream" },
      body: new URLSearchParams(new FormData(form, button)), signal: stop.signal });
    if (response.status === 204) { form.removeAttribute("data-sweep"); form.requestSubmit(button); return; }
    if (!response.headers.get("content-type").includes("event-stream")) { show(await response.text()); return; }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part, text = ""; !(part = await reader.read()).done;) {
      const events = (text + part.value).split("\n\n");
      text = events.pop();
      if (events.length) show(JSON.parse(events.at(-1).split("data: ")[1]));
    }
  };
  document.addEventListener("submit", (event) => {
    const { target: form, submitter: button } = event;
    if (!form.matches("[data-sweep]")) return;
    event.preventDefault();
    if (!button.matches("[data-stop]")) { sweep(form, button).catch((error) => { if (!stop.signal.aborted) throw error; }); return; }
    stop.abort();
    button.removeAttribute("data-stop");
    button.textContent = "Go on";
  });

  let row = -1;
  const rows = () => [...document.querySelectorAll("main tbody tr[data-row]")];
  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    row = Math.max(0, Math.min(all.length - 1, row + by));
    all.forEach((one, at) => one.setAttribute("aria-selected", String(at === row)));
    all[row].scrollIntoView({ block: "nearest" });
    const link = all[row].querySelector("a");
    if (link) link.focus();
  };
  const press = (name) => { const button = document.querySelector(`main [data-key="${name}"]`); if (button) button.click(); };
  const KEYS = {
    "/": () => { const field = document.getElementById("search"); if (field) field.focus(); },
    "?": () => document.getElementById("keys").showModal(),
    ArrowDown: () => move(1), ArrowUp: () => move(-1),
    x: () => { const box = rows()[row]?.querySelector("input[type=checkbox]"); if (box) box.click(); },
    R: () => press("R"), C: () => press("C"), P: () => press("P"),
    t: () => theme(THEMES[(THEMES.indexOf(store.get("theme") || "auto") + 1) % 3]),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || store.get("keys") === "off") return;
    const page = document.querySelector(`nav a[data-key="${event.key}"]`);
    if (page) page.click();
    else if (KEYS[event.key]) KEYS[event.key]();
    else return;
    event.preventDefault();
  });

  document.addEventListener("input", (event) => {
    if (event.target.closest("form[data-keep]")) event.target.setAttribute("data-changed", "");
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "all") {
      for (const box of document.querySelectorAll("main tbody input[name=id]")) box.checked = event.target.checked;
    }
    if (event.target.id === "keys-on") store.set("keys", event.target.checked ? "on" : "off");
    const chosen = document.querySelectorAll("main tbody input[name=id]:checked").length;
    for (const out of document.querySelectorAll("[data-chosen]")) out.textContent = String(chosen);
  });
  document.addEventListener("click", (event) => {
    if (event.target.id === "theme") KEYS.t();
    if (event.target.id === "help") KEYS["?"]();
  });
  document.addEventListener("htmx:after:swap", times);

  theme(store.get("theme") || "auto");
  document.getElementById("keys-on").checked = store.get("keys") !== "off";
  for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
  times();
  listen();
})();
