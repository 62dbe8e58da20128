// The page: controls in, texts out.

import { place, score, write } from "./model.js";
import { copyText, Sample } from "./samples.js";
import { Served } from "./served.js";
import { fromHash, NAMES, newSeed, read, toHash } from "./values.js";
import { Problem } from "./wire.js";

const DEFAULTS = { temperature: "0.8", top_k: "0", length: "300", samples: "1" }; // until the export's own are known
const MAX_CHARS = 100_000; // where the export does not say
const SHADED_CHARS = 20_000; // of one text: an element for each is what a browser bears

const $ = (id) => document.getElementById(id);
const served = new Served($("served"), $("version"), () => takeLimits());
let running = null; // AbortController of what is under way
let samples = [];
let writtenBy = null; // the version's path
const untouched = new Set(Object.keys(DEFAULTS));

function say(text) {
  $("status").textContent = text;
}

function showProblem(error) {
  console.assert(error instanceof Problem, error);
  const known = error instanceof Problem;
  $("error").textContent = known ? error.message : "The page made a mistake. Reload it; the browser's console says more.";
  $("error").hidden = false;
  if (error.control) {
    $(error.control).setAttribute("aria-invalid", "true");
    $(error.control).setAttribute("aria-errormessage", "error");
    $(error.control).focus();
  } else {
    $("error").scrollIntoView({ block: "nearest" });
  }
  if (error.status) served.refresh(); // it may be another version by now
}

function clearProblem() {
  $("error").hidden = true;
  for (const control of document.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

function raw() {
  return Object.fromEntries(NAMES.map((key) => [key, $(key).value]));
}

/** The export's own defaults, where nobody has chosen anything else, and its bounds. */
function takeLimits() {
  const limits = served.version?.limits;
  $("length").max = limits?.max_chars ?? MAX_CHARS;
  const own = { temperature: limits?.temperature, top_k: limits?.top_k, length: limits?.num_chars };
  for (const [key, value] of Object.entries(own)) {
    if (value !== undefined && untouched.delete(key)) fill({ [key]: String(value) });
  }
}

/** Run a piece of work that Stop can end; says what `done` returns, unless newer work took over. */
async function run(work, stopped) {
  running?.abort();
  const mine = (running = new AbortController());
  clearProblem();
  $("stop").disabled = false;
  try {
    const said = await work(mine.signal);
    if (running === mine) say(said);
  } catch (error) {
    if (running !== mine) return;
    if (mine.signal.aborted) {
      say(stopped());
    } else {
      say("");
      showProblem(error);
    }
  } finally {
    if (running === mine) {
      running = null;
      for (const sample of samples) sample.finish();
      if (document.activeElement === $("stop")) $("generate").focus(); // a disabled button would lose the focus
      $("stop").disabled = true;
    }
  }
}

async function generate() {
  let count = 0;
  if ($("new-seed").checked) $("seed").value = newSeed();
  await run(
    async (signal) => {
      if (!served.version) await served.refresh();
      const version = served.version;
      if (!version) throw new Problem(served.trouble);
      const values = read(raw(), version.limits?.max_chars ?? MAX_CHARS);
      history.replaceState(null, "", `#${toHash(raw())}`);
      const at = place(served.about.model, version.version);
      say("Writing…");
      const started = performance.now();
      for await (const texts of write(at, values, signal)) {
        if (!count) {
          // Only now: if the server refuses, what was there stays.
          writtenBy = at;
          show(texts.map((_, i) => new Sample(i + 1, values.seed + i, values.prompt)));
        }
        texts.forEach((text, i) => samples[i].append(text));
        count += Array.from(texts[0]).length;
      }
      const seconds = (performance.now() - started) / 1000;
      for (const sample of samples) sample.finish();
      const each = values.samples > 1 ? ` in each of ${values.samples} samples` : "";
      const said = `${count} characters${each} in ${seconds.toFixed(1)} s.`;
      if ($("shade").checked) await shade(signal);
      return said;
    },
    () => `Stopped after ${count} characters.`,
  );
}

function show(fresh) {
  samples = fresh;
  for (const sample of samples) sample.listen($("readout"));
  $("samples-list").replaceChildren(...samples.map((sample) => sample.element));
  $("empty").hidden = true;
  const below = $("output").getBoundingClientRect().top > innerHeight * 0.4;
  if (below) $("output").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

async function shade(signal) {
  say("Measuring…");
  // A fresh start begins as after a line's end, so that is what the first character of an unprompted text is judged by.
  const lead = samples[0].prompt === "" ? ["\n"] : [];
  const texts = samples.map((sample) => [...lead, ...Array.from(sample.whole).slice(0, SHADED_CHARS)]);
  const nats = await score(writtenBy, texts.map((text) => text.join("")), signal);
  if (!$("shade").checked) return; // another mind meanwhile
  samples.forEach((sample, i) => sample.shade(lead.length ? nats[i] : [undefined, ...nats[i]]));
}

async function toggleShade() {
  $("legend").hidden = !$("shade").checked;
  if (running || !samples.length) return; // what is being written is shaded when it is done
  if (!$("shade").checked) {
    for (const sample of samples) sample.unshade();
    return;
  }
  await run(
    async (signal) => {
      await shade(signal);
      const cut = samples.some((sample) => Array.from(sample.whole).length > SHADED_CHARS);
      return cut ? `The first ${SHADED_CHARS} characters of each text are shaded.` : "Shaded.";
    },
    () => "Stopped.",
  );
}

function fill(values) {
  for (const [key, value] of Object.entries(values)) {
    if (key === "version") served.choose(value);
    else $(key).value = value;
  }
  if (values.seed) $("new-seed").checked = false; // whoever gives a seed wants that text
  $("temperature-slider").value = $("temperature").value;
}

$("controls").addEventListener("submit", (event) => {
  event.preventDefault();
  generate();
});
$("stop").addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    generate();
  } else if (event.key === "Escape") {
    running?.abort();
  }
});
$("temperature").addEventListener("input", () => ($("temperature-slider").value = $("temperature").value));
$("temperature-slider").addEventListener("input", () => ($("temperature").value = $("temperature-slider").value));
$("seed").addEventListener("input", () => ($("new-seed").checked = false));
$("version").addEventListener("change", () => {
  served.describe();
  takeLimits();
});
$("shade").addEventListener("change", toggleShade);
$("link").addEventListener("click", (event) => {
  history.replaceState(null, "", `#${toHash(raw())}`);
  copyText(location.href, event.currentTarget);
});
addEventListener("hashchange", () => fill(fromHash(location.hash)));

fill(DEFAULTS);
$("seed").value = newSeed();
fill(fromHash(location.hash));
for (const key of Object.keys(fromHash(location.hash))) untouched.delete(key);
$("controls").addEventListener("input", (event) => untouched.delete(event.target.id.replace("-slider", "")));
served.follow();
