// What has to be asked for comes into the page by this script: fragments of HTML,
// which the server renders, and log lines, which are put in as text.
"use strict";

// Parts: <div data-part="URL" data-every="SECONDS">.
{
  const away = document.getElementById("away");
  const said = document.createElement("p");
  said.className = "unseen";
  said.setAttribute("role", "status");
  document.body.append(said);

  // put replaces what a part holds, unless it is the same, and leaves the focus and
  // what is scrolled where they are.
  const put = (part, html) => {
    if (part.shown === html) return;
    part.shown = html;
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const places = [...part.querySelectorAll("a, button, [role=region]")];
    const place = places.indexOf(focused);
    const key = focused && (focused.getAttribute("href") || focused.getAttribute("aria-label"));
    const scrolled = [...part.querySelectorAll("[role=region]")].map((r) => r.scrollLeft);
    part.innerHTML = html;
    part.querySelectorAll("[role=region]").forEach((r, i) => { r.scrollLeft = scrolled[i] || 0; });
    if (focused) {
      const now = [...part.querySelectorAll("a, button, [role=region]")];
      const same = now.find((e) => (e.getAttribute("href") || e.getAttribute("aria-label")) === key) || now[place];
      if (same) same.focus({ preventScroll: true });
    }
    const word = part.querySelector("[data-say]");
    if (word && said.textContent !== word.textContent) said.textContent = word.textContent;
  };

  const load = async (part) => {
    let last = false;
    try {
      const answer = await fetch(part.dataset.part, { headers: { Accept: "text/html" } });
      if (answer.status === 403) throw new Error("another run");
      put(part, await answer.text());
      last = answer.headers.get("Berth-Last") !== null;
      away.hidden = true;
    } catch {
      away.hidden = false;
    }
    part.setAttribute("aria-busy", "false");
    const every = Number(part.dataset.every);
    if (every && !last) setTimeout(next, every * 1000, part);
  };
  // next waits for a page that is looked at.
  const next = (part) => {
    if (!document.hidden) return load(part);
    document.addEventListener("visibilitychange", () => next(part), { once: true });
  };
  for (const part of document.querySelectorAll("[data-part]")) {
    part.setAttribute("aria-busy", "true");
    load(part);
  }
}

// Logs.
{
  const form = document.getElementById("query");
  const log = document.getElementById("log");
  const state = document.getElementById("logstate");
  const note = document.getElementById("lognote");
  const most = 5000;
  let source, shown = 0, held = [], holding = false;

  const say = (text, bad) => {
    if (state.textContent !== text) state.textContent = text;
    state.classList.toggle("bad", Boolean(bad));
  };
  const span = (name, text) => {
    const made = document.createElement("span");
    made.className = name;
    made.textContent = text;
    return made;
  };
  const element = (line) => {
    const row = document.createElement("div");
    row.className = "line " + line.kind;
    const at = document.createElement("time");
    at.dateTime = line.iso;
    at.textContent = line.at;
    row.append(at, " ", span("pod", line.pod), " ", span("level", line.level), " ", span("text", line.text));
    return row;
  };
  const add = ({ lines, left }) => {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const rows = document.createDocumentFragment();
    if (left) rows.append(span("left", `… ${left.toLocaleString("en")} lines are left out here: ask for less of them`));
    for (const line of lines) rows.append(element(line));
    log.append(rows);
    shown += lines.length;
    while (log.childElementCount > most) log.firstElementChild.remove();
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  const summary = (live) => say(`${shown.toLocaleString("en")} ${shown === 1 ? "line" : "lines"}${live ? ", and those to come" : ""}`);

  const open = () => {
    if (source) source.close();
    log.replaceChildren();
    log.setAttribute("aria-live", "off");
    [shown, held, holding] = [0, [], false];
    hold();
    say("Looking…");
    note.textContent = "";
    const query = new URLSearchParams(new FormData(form));
    if (query.get("since") !== "between") { query.delete("from"); query.delete("until"); }
    for (const [name, value] of [...query]) if (!value) query.delete(name);
    history.replaceState(null, "", query.size ? "?" + query : location.pathname);
    source = new EventSource(form.dataset.stream + "?" + query);
    let quiet;
    source.addEventListener("open", () => {
      log.dataset.open = "true";
      quiet = setTimeout(() => { if (!shown) say("No line yet; new ones appear here"); }, 3000);
    });
    source.addEventListener("lines", (event) => {
      const some = JSON.parse(event.data);
      if (holding) { held.push(some); held.splice(0, held.length - 50); say("Paused; new lines wait"); return; }
      add(some);
      summary(true);
      // What was there already is not read out, and what comes is.
      clearTimeout(quiet);
      quiet = setTimeout(() => log.setAttribute("aria-live", "polite"), 2000);
    });
    source.addEventListener("status", (event) => {
      const text = JSON.parse(event.data);
      if (text) say(text); else summary(true);
    });
    source.addEventListener("note", (event) => { note.textContent = JSON.parse(event.data); });
    source.addEventListener("end", (event) => {
      source.close();
      clearTimeout(quiet);
      const { error, hint } = JSON.parse(event.data);
      if (error) say(error + (hint ? ": " + hint : ""), true);
      else if (shown) summary(false);
      else say("No line is as asked for");
      log.dataset.ended = "true";
    });
    source.addEventListener("error", () => {
      say(source.readyState === EventSource.CLOSED ? "berth dashboard has ended" : "The connection broke; trying again…", true);
    });
  };

  const button = document.getElementById("hold");
  const hold = () => {
    button.setAttribute("aria-pressed", String(holding));
    button.textContent = holding ? "Go on" : "Pause";
  };

  if (form) {
    form.addEventListener("submit", (event) => { event.preventDefault(); open(); });
    form.elements.level.addEventListener("change", open);
    form.elements.since.addEventListener("change", () => {
      const between = form.elements.since.value === "between";
      document.getElementById("between").hidden = !between;
      if (!between) open();
    });
    button.addEventListener("click", () => {
      holding = !holding;
      hold();
      if (holding) { say("Paused"); return; }
      held.splice(0).forEach(add);
      log.scrollTop = log.scrollHeight;
      summary(source.readyState !== EventSource.CLOSED);
    });
    open();
  }
}
