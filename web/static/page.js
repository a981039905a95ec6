// What makes the page livelier. Without it everything works but live refresh, keys and local times.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const kept = (name, value = null) => {
    try {
      if (value !== null) localStorage.setItem(`lamplighter.${name}`, value);
      return localStorage.getItem(`lamplighter.${name}`);
    } catch { return value; /* a private window */ }
  };
  const THEMES = ["auto", "light", "dark"];
  const theme = (chosen) => {
    document.documentElement.dataset.theme = kept("theme", chosen);
    if (byId("theme")) byId("theme").textContent = `Theme: ${chosen}`;
  };

  const relative = (seconds) => {
    const size = Math.abs(seconds);
    const [each, unit] = size < 100 ? [1, "s"] : size < 6000 ? [60, "min"] : size < 172800 ? [3600, "h"] : [86400, "d"];
    const text = `${Math.round(size / each)} ${unit}`;
    return seconds < 0 ? `in ${text}` : `${text} ago`;
  };

  const ZONED = { dateStyle: "medium", timeStyle: "long" };
  const times = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime), local = at.toLocaleString(undefined, ZONED);
      time.title = `${local} (${time.dateTime})`;
      time.textContent = time.id === "as-of" ? at.toLocaleTimeString() : time.hasAttribute("data-relative") ? relative((Date.now() - at) / 1000) : local;
    }
  };

  const main = () => byId("main");
  const isTyping = (element) => element?.closest("input:not([type=checkbox]), textarea, select, dialog[open]");

  let missed = false, paused = false, kept_rows = [];
  const picked = () => [...document.querySelectorAll("tbody [name=id]:checked")].map((box) => box.value);
  const reread = () => { kept_rows = picked(); htmx.trigger(main(), "stale"); };
  // Rows stay where they are while one is selected: a badge says how many there are above them.
  const count = async () => {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
    const newer = [...page.querySelectorAll("tr[data-row]")].filter((one) => !byId(one.id)).length;
    Object.assign(byId("newer"), { hidden: false, textContent: newer ? `${newer} newer` : "Changed since" });
  };
  const refresh = () => {
    // A form that is being filled in stays so.
    missed = paused || document.hidden || isTyping(document.activeElement) || document.querySelector("form [data-changed]");
    if (!missed) { if (picked().length && byId("newer")) count(); else reread(); }
  };

  let polling;
  const poll = (seconds) => { polling ??= setInterval(refresh, seconds * 1000); };
  let source;
  const listen = () => {
    source?.close();
    if (document.hidden) return;
    source = new EventSource(document.body.dataset.live);
    source.addEventListener("stale", refresh);
    // A server without streams answers with nothing, which closes it: ask at times instead.
    source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) poll(5); });
  };

  // What is done to many jobs is followed as it is done, and ends when nobody follows. A server without streams says
  // nothing, and is then asked for one part after the other.
  let stop;
  const show = (text) => {
    // The button that stops it stays, with its focus, and with a press of it that is under way.
    const here = main();
    return htmx.swap({ text, sourceElement: here, target: here, select: "#main", swap: "outerMorph" });
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
    row = Math.max(0, Math.min(all.length - 1, row + by));
    all.forEach((one, at) => one.setAttribute("aria-selected", at === row));
    all[row]?.scrollIntoView({ block: "nearest" });
    all[row]?.querySelector("a")?.focus();
  };
  const KEYS = {
    "/": () => byId("search")?.focus(),
    "?": () => byId("keys").showModal(),
    ArrowDown: () => move(1), ArrowUp: () => move(-1),
    x: () => rows()[row]?.querySelector("input[type=checkbox]")?.click(),
    t: () => theme(THEMES[(THEMES.indexOf(kept("theme") ?? "auto") + 1) % 3]),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target) || kept("keys") === "off") return;
    const does = KEYS[event.key], named = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (does) does(); else if (named) named.click(); else return;
    event.preventDefault();
  });

  document.addEventListener("input", (event) => {
    if (event.target.closest("form[data-keep]")) event.target.setAttribute("data-changed", "");
  });
  document.addEventListener("change", (event) => {
    if (event.target.id === "all") {
      for (const box of document.querySelectorAll("main tbody input[name=id]")) box.checked = event.target.checked;
    }
    if (event.target.id === "keys-on") kept("keys", event.target.checked ? "on" : "off");
    if (missed || (event.target.name === "id" && !picked().length)) refresh();
  });
  document.addEventListener("click", (event) => {
    if (event.target.id === "theme") KEYS.t();
    if (event.target.id === "help") KEYS["?"]();
    if (event.target.id === "newer") reread();
    if (event.target.id === "live") {
      paused = !paused;
      event.target.textContent = `Live: ${paused ? "off" : "on"}`;
      if (!paused) refresh();
    }
  });
  document.addEventListener("htmx:after:swap", () => {
    const at = byId("as-of");
    if (at) at.dateTime = main().dataset.at;
    for (const box of document.querySelectorAll("tbody [name=id]")) box.checked ||= kept_rows.includes(box.value);
    if (byId("newer")) byId("newer").hidden = true;
    times();
    if (main().dataset.every) poll(main().dataset.every);
  });

  // What somebody has opened stays open when the page is read again.
  htmx.config.morphIgnore.push("open");
  theme(kept("theme") ?? "auto");
  byId("keys-on").checked = kept("keys") !== "off";
  for (const part of document.querySelectorAll("[data-script]")) part.hidden = false;
  times();
  if (document.body.dataset.live) {
    listen();
    document.addEventListener("visibilitychange", () => { listen(); refresh(); });
    if (main().dataset.every) poll(main().dataset.every);
    byId("live").hidden = false;
  }
})();
