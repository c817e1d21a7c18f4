"use strict";
const KEYS = {
  " ": "play or pause", "[": "the event starts here", "]": "the event ends here",
  ",": "a frame back", ".": "a frame on", "Shift ←": "nudge the marked edge back by a frame",
  "Shift →": "nudge the marked edge on by a frame", "s": "mark the other edge",
  "j": "next item", "k": "item before", "1 2 3 4": "speed: half, normal, twice, four times",
  "a": "accept, and go on", "x": "reject, and go on", "z": "take back your last decision",
  "e": "write the text (Ctrl Enter saves, Escape leaves it as it was)", "l": "write the classes",
  "A": "accept all of this video that has a text", "n": "a new event from here on", "?": "all keys",
};
const SPEEDS = {1: 0.5, 2: 1, 3: 2, 4: 4};
const POLL_MS = 2000, NEW_EVENT_S = 5;
const NAMES = {caption: "caption", judgement: "judgement", description: "description", analysis: "analysis"};
const $ = (id) => document.getElementById(id);
const S = {rev: 0, videos: new Map(), selected: null, edge: "start_s", busy: Promise.resolve()};

// ---- data ----------------------------------------------------------------------------------------------------------

const items = () => [...S.videos.values()].flatMap((video) => video.items);
const current = () => items().find((item) => item.id === S.selected) || null;
const videoOf = (item) => S.videos.get(item.video);
const isDone = (item) => item.status !== "proposed";

function visible() {
  const show = $("show").value, level = $("level").value, video = $("video-filter").value;
  const kept = items().filter((item) => (!level || item.level === level) && (!video || item.video === video)
    && (show === "all" || (show === "open" && !isDone(item)) || (show === "flagged" && item.flags.length)
      || item.id === S.selected));
  return kept.sort((a, b) => b.weight - a.weight);
}

async function call(path, body) {
  const options = body && {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)};
  const response = await fetch(path, options);
  const found = await response.json();
  if (response.status === 409) {
    await refresh();
    throw new Error(`${found.error}: look at it again`);
  }
  if (!response.ok) throw new Error(found.error || response.statusText);
  return found;
}

function merge(found) {
  S.rev = Math.max(S.rev, found.rev);
  for (const video of found.videos) S.videos.set(video.video, video);
}

async function refresh() {
  merge(await call(`/api/changes?since=${S.rev}`));
  draw();
}

/** One thing after another: a second decision waits for the first. */
function then(work) {
  S.busy = S.busy.then(work).catch((error) => say(error.message));
  return S.busy;
}

let silence;
function say(text) {
  $("message").textContent = text;
  $("message").hidden = false;
  clearTimeout(silence);
  silence = setTimeout(() => { $("message").hidden = true; }, 6000);
}

function who() {
  const name = localStorage.getItem("reviewer");
  if (name) return Promise.resolve(name);
  return new Promise((resolve) => {
    $("who").addEventListener("close", () => {
      const given = $("who-name").value.trim();
      if (given) localStorage.setItem("reviewer", given);
      $("name").textContent = given;
      resolve(given);
    }, {once: true});
    $("who").showModal();
  });
}

// ---- decisions -----------------------------------------------------------------------------------------------------

async function decide(item, status, fields = {}) {
  const name = await who();
  if (!name) return;
  merge(await call("/api/decide", {item: item.id, rev: item.rev, who: name, status, fields, about: item.digest}));
  $("saved").textContent = `${status} ${new Date().toLocaleTimeString()}`;
  draw();
}

const edited = (item, fields) => then(() => decide(items().find((one) => one.id === item.id) || item, "edited", fields));

function settle(status) {
  const item = current();
  if (!item) return;
  then(async () => {
    const order = visible().map((one) => one.id), place = order.indexOf(item.id);
    const fresh = current();
    await decide(fresh, status, status === "accepted" ? changedTexts(fresh) : {});
    const left = order.slice(place + 1).concat(order.slice(0, place).reverse());
    const next = left.find((id) => items().some((one) => one.id === id && ($("show").value === "all" || !isDone(one))));
    if (next) select(next);
  });
}

function acceptAll() {
  const item = current();
  if (!item) return;
  then(async () => {
    for (const {id} of videoOf(item).items) {
      const one = items().find((other) => other.id === id);
      if (one && !isDone(one) && Object.values(one.texts).some(Boolean)) await decide(one, "accepted");
    }
  });
}

function undo() {
  then(async () => {
    const name = await who();
    const found = await call("/api/undo", {who: name});
    merge(found);
    if (found.decision) S.selected = found.decision.item;
    say(found.decision ? `taken back: ${found.decision.item}` : "nothing of yours to take back");
    draw();
  });
}

function newEvent() {
  const item = current();
  if (!item) return;
  const video = videoOf(item), start = $("player").currentTime;
  const end = Math.min(start + NEW_EVENT_S, video.duration_s);
  then(async () => {
    const asked = {video: video.video, start_s: start, end_s: end, labels: video.labels, who: await who()};
    const found = await call("/api/add", asked);
    merge(found);
    select(found.decision.item);
  });
}

/** The event whose edges are set: the selected one, or that of the selected clip. */
function eventOf(item) {
  if (!item || item.level === "video") return null;
  if (item.level === "event") return item;
  return videoOf(item).items.find((one) => one.level === "event" && item.id.startsWith(`${one.id}/`));
}

function setEdge(name, time) {
  const event = eventOf(current());
  if (!event) return say("only an event has edges: select one (j, k), or make one (n)");
  S.edge = name;
  const video = videoOf(event);
  const value = Math.min(Math.max(0, time), video.duration_s);
  if (name === "start_s" ? value >= event.end_s : value <= event.start_s) return say("an event starts before it ends");
  S.selected = event.id;
  return edited(event, {[name]: Math.round(value * 1000) / 1000});
}

function nudge(frames) {
  then(async () => {
    const event = eventOf(current());
    if (!event) return;
    const value = event[S.edge] + frames / videoOf(event).fps;
    await decide(event, "edited", {[S.edge]: Math.round(Math.max(0, value) * 1000) / 1000});
    const player = $("player");
    player.pause();
    player.currentTime = S.edge === "start_s" ? value : Math.max(0, value - 1 / videoOf(event).fps);
  });
}

// ---- the texts -----------------------------------------------------------------------------------------------------

function changedTexts(item) {
  const fields = {};
  for (const box of $("texts").querySelectorAll("[data-field]")) {
    const was = box.dataset.was, now = box.value.trim();
    if (now === was || box.dataset.item !== item.id) continue;
    fields[box.dataset.field] = box.dataset.field === "labels" ? now.split(",").map((word) => word.trim()).filter(Boolean) : now;
  }
  return fields;
}

function saveTexts() {
  const item = current();
  if (!item) return;
  const fields = changedTexts(item);
  for (const name of Object.keys(fields)) $(`field-${name}`).dataset.was = $(`field-${name}`).value.trim();
  if (Object.keys(fields).length) edited(item, fields);
}

function box(item, name, text, rows) {
  const label = document.createElement("label"), area = document.createElement(rows ? "textarea" : "input");
  label.textContent = name === "labels" ? "classes, by commas (none: normal)" : name;
  label.htmlFor = area.id = `field-${name}`;
  if (rows) area.rows = rows;
  area.value = area.dataset.was = text;
  area.dataset.field = name;
  area.dataset.item = item.id;
  area.addEventListener("blur", saveTexts);
  return [label, area];
}

function drawTexts(item) {
  const shown = JSON.stringify([item.id, item.texts, item.labels]);
  const held = document.activeElement;
  const writes = $("texts").contains(held) && held.dataset.item === item.id && held.value.trim() !== held.dataset.was;
  if ($("texts").dataset.shown === shown || writes) return;
  $("texts").dataset.shown = shown;
  const focused = $("texts").contains(held) ? held.id : null;
  const boxes = Object.entries(item.texts).flatMap(([name, text]) => box(item, NAMES[name], text || "", name === "judgement" ? 1 : 3));
  if (item.level !== "clip") boxes.push(...box(item, "labels", item.labels.join(", "), 0));
  $("texts").replaceChildren(...boxes);
  if (focused && $(focused)) $(focused).focus();
}

// ---- drawing -------------------------------------------------------------------------------------------------------

const clock = (time) => `${Math.floor(time / 60)}:${(time % 60).toFixed(2).padStart(5, "0")}`;

function draw() {
  const shown = visible();
  if (!shown.some((item) => item.id === S.selected)) S.selected = shown.length ? shown[0].id : null;
  drawList(shown);
  const all = items(), done = all.filter(isDone).length;
  $("counts").textContent = `${done} of ${all.length} reviewed, ${all.filter((item) => item.flags.length).length} flagged`;
  const item = current();
  $("work").hidden = !item;
  $("nothing").hidden = Boolean(item);
  if (!item) return;
  $("title").textContent = item.level === "video" ? item.video : `${item.video}, ${item.level} ${clock(item.start_s)} to ${clock(item.end_s)}`;
  const by = item.who && isDone(item) ? ` by ${item.who}` : item.by ? `, text ${item.by === "model" ? "by the model" : item.by}` : "";
  $("status").textContent = item.status + by + (item.origin ? `, event ${item.origin}` : "");
  $("flags").replaceChildren(...item.flags.map((flag) => Object.assign(document.createElement("li"), {textContent: flag.message})));
  drawTexts(item);
  load(item);
  drawTimeline();
}

function drawList(shown) {
  const place = $("list").parentElement.scrollTop;
  $("list").replaceChildren(...shown.map((item) => {
    const line = document.createElement("li"), state = document.createElement("span"), small = document.createElement("small");
    line.tabIndex = -1;
    line.dataset.id = item.id;
    line.setAttribute("aria-current", String(item.id === S.selected));
    state.className = `state ${item.status}`;
    state.textContent = item.status;
    small.className = item.flags.length ? "" : "calm";
    small.textContent = item.flags.length ? item.flags[0].message : Object.values(item.texts).find(Boolean) || "";
    const name = item.level === "video" ? item.video : `${item.video} ${item.level} ${clock(item.start_s)}`;
    line.append(state, name, small);
    line.addEventListener("click", () => select(item.id));
    return line;
  }));
  $("list").parentElement.scrollTop = place;
  const chosen = $("list").querySelector('[aria-current="true"]');
  if (chosen) chosen.scrollIntoView({block: "nearest"});
}

function shape(kind, fields, parent) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(fields)) made.setAttribute(name, value);
  parent.append(made);
  return made;
}

function drawTimeline() {
  const item = current(), line = $("timeline");
  line.replaceChildren();
  const video = videoOf(item), x = (time) => (1000 * time) / video.duration_s;
  for (const one of video.items) {
    if (one.level === "video") continue;
    const top = one.level === "event" ? 8 : 64, height = one.level === "event" ? 52 : 26;
    const kind = `${one.level} ${one.status === "rejected" ? "rejected" : ""} ${one.id === S.selected ? "selected" : ""}`;
    shape("rect", {class: kind, x: x(one.start_s), y: top, width: Math.max(1, x(one.end_s) - x(one.start_s) - 1), height}, line);
  }
  if (video.scores.length) {
    const points = video.scores.map((score, i) => `${x(video.times_s[i]).toFixed(1)},${(60 - 52 * score).toFixed(1)}`);
    shape("polyline", {class: "curve", points: points.join(" ")}, line);
  }
  const event = eventOf(item);
  if (event) {
    for (const name of ["start_s", "end_s"]) {
      const active = name === S.edge ? " active" : "", at = x(event[name]);
      const edge = shape("line", {class: `edge${active}`, x1: at, x2: at, y1: 2, y2: 66}, line);
      edge.addEventListener("pointerdown", (press) => drag(press, event, name));
    }
  }
  shape("line", {class: "head", x1: 0, x2: 0, y1: 0, y2: 96}, line);
  drawHead();
}

function timeAt(press) {
  const area = $("timeline").getBoundingClientRect(), video = videoOf(current());
  return Math.min(1, Math.max(0, (press.clientX - area.left) / area.width)) * video.duration_s;
}

function drag(press, event, name) {
  press.stopPropagation();
  press.preventDefault();
  S.edge = name;
  const line = $("timeline"), moved = (move) => { $("player").currentTime = timeAt(move); };
  const done = (release) => {
    line.removeEventListener("pointermove", moved);
    setEdge(name, timeAt(release));
  };
  $("player").pause();
  line.addEventListener("pointermove", moved);
  window.addEventListener("pointerup", done, {once: true});
}

function drawHead() {
  const item = current(), head = $("timeline").querySelector(".head");
  if (!item || !head) return;
  const video = videoOf(item), time = $("player").currentTime, at = (1000 * time) / video.duration_s;
  head.setAttribute("x1", at);
  head.setAttribute("x2", at);
  const score = video.scores[video.times_s.findLastIndex((one) => one <= time)];
  const said = score === undefined ? "" : `, score ${score.toFixed(2)}`;
  const edge = eventOf(item) ? `, edge marked: ${S.edge === "start_s" ? "start" : "end"}` : "";
  $("clock").textContent = `${clock(time)} of ${clock(video.duration_s)}, frame ${Math.round(time * video.fps)}${said}${edge}`;
  $("timeline").setAttribute("aria-valuenow", time.toFixed(2));
}

// ---- the video -----------------------------------------------------------------------------------------------------

function load(item) {
  const player = $("player"), address = `/video/${encodeURIComponent(item.video)}`;
  if (player.dataset.address !== address) {
    player.dataset.address = address;
    player.src = address;
    player.dataset.item = "";
  }
  if (player.dataset.item !== item.id) {
    player.dataset.item = item.id;
    player.currentTime = item.start_s;
    player.play().catch(() => {});
  }
}

/** The segment in a loop, with a little around an event whose edges are to be seen. */
function loop() {
  const item = current(), player = $("player");
  drawHead();
  if (!item || player.paused || item.level === "video") return;
  const around = item.level === "event" ? 1 : 0;
  if (player.currentTime > item.end_s + around || player.currentTime < item.start_s - around - 1) player.currentTime = Math.max(0, item.start_s - around);
}

function step(frames) {
  const player = $("player"), item = current();
  player.pause();
  player.currentTime = Math.max(0, player.currentTime + frames / videoOf(item).fps);
}

function select(id) {
  saveTexts();
  S.selected = id;
  draw();
}

function go(by) {
  const order = visible().map((item) => item.id), place = order.indexOf(S.selected) + by;
  if (place >= 0 && place < order.length) select(order[place]);
}

// ---- keys ----------------------------------------------------------------------------------------------------------

const ACTIONS = {
  " ": () => ($("player").paused ? $("player").play() : $("player").pause()),
  "[": () => setEdge("start_s", $("player").currentTime),
  "]": () => setEdge("end_s", $("player").currentTime),
  ",": () => step(-1), ".": () => step(1),
  "s": () => { S.edge = S.edge === "start_s" ? "end_s" : "start_s"; drawTimeline(); },
  "j": () => go(1), "k": () => go(-1),
  "a": () => settle("accepted"), "x": () => settle("rejected"), "z": undo, "A": acceptAll, "n": newEvent,
  "e": () => { const first = $("texts").querySelector("textarea"); if (first) first.focus(); },
  "l": () => { const labels = $("field-labels"); if (labels) labels.focus(); },
  "?": () => $("help").showModal(),
};

function onKey(press) {
  if (document.querySelector("dialog[open]")) return;
  const held = document.activeElement, writes = held && (held.tagName === "TEXTAREA" || held.tagName === "INPUT");
  if (writes) {
    if (press.key === "Escape") held.value = held.dataset.was ?? held.value;
    if (press.key === "Escape" || (press.key === "Enter" && (press.ctrlKey || press.metaKey || held.tagName === "INPUT"))) {
      press.preventDefault();
      saveTexts();
      held.blur();
    }
    return;
  }
  if (press.ctrlKey || press.metaKey || press.altKey || (held && held.tagName === "SELECT")) return;
  if (press.shiftKey && (press.key === "ArrowLeft" || press.key === "ArrowRight")) {
    press.preventDefault();
    nudge(press.key === "ArrowLeft" ? -1 : 1);
  } else if (SPEEDS[press.key]) {
    $("player").playbackRate = SPEEDS[press.key];
    say(`speed ${SPEEDS[press.key]}`);
  } else if (ACTIONS[press.key] && (S.selected || press.key === "?" || press.key === "z")) {
    press.preventDefault();
    if (held && held.tagName === "BUTTON") held.blur();
    ACTIONS[press.key]();
  }
}

// ---- tables --------------------------------------------------------------------------------------------------------

async function readTable(file) {
  const name = await who(), table = await file.text();
  const found = await call("/api/import", {who: name, table});
  merge(found);
  draw();
  const left = found.left_out.length ? `; left out: ${found.left_out.join("; ")}` : "";
  say(`${found.taken} decisions from ${file.name}${left}`);
}

// ---- begin ---------------------------------------------------------------------------------------------------------

async function begin() {
  merge(await call("/api/items"));
  for (const name of S.videos.keys()) $("video-filter").append(new Option(name, name));
  $("name").textContent = localStorage.getItem("reviewer") || "who?";
  for (const [key, meaning] of Object.entries(KEYS)) {
    const term = document.createElement("dt"), said = document.createElement("dd"), mark = document.createElement("kbd");
    mark.textContent = key === " " ? "space" : key;
    term.append(mark);
    said.textContent = meaning;
    $("keys").append(term, said);
  }
  draw();
  document.addEventListener("keydown", onKey);
  for (const id of ["show", "level", "video-filter"]) $(id).addEventListener("change", () => { $(id).blur(); draw(); });
  for (const button of document.querySelectorAll("[data-key]")) button.addEventListener("click", () => ACTIONS[button.dataset.key]());
  $("help-button").addEventListener("click", () => $("help").showModal());
  $("name").addEventListener("click", () => { localStorage.removeItem("reviewer"); who(); });
  $("table-out").addEventListener("click", () => { location.href = "/api/table"; });
  $("table-in").addEventListener("click", () => $("table-file").click());
  $("table-file").addEventListener("change", () => { const [file] = $("table-file").files; if (file) then(() => readTable(file)); $("table-file").value = ""; });
  $("timeline").addEventListener("pointerdown", (press) => { $("player").currentTime = timeAt(press); });
  $("texts").addEventListener("submit", (event) => event.preventDefault());
  $("player").addEventListener("timeupdate", loop);
  $("player").addEventListener("seeked", drawHead);
  setInterval(() => { if (!document.hidden) then(refresh); }, POLL_MS);
}

begin().catch((error) => say(error.message));
