// The page: reads the controls, requests texts and shows them.

import { generateChunks, score, versionPath } from "./model.js";
import { copyText, Sample } from "./samples.js";
import { Served } from "./served.js";
import { fromHash, NAMES, newSeed, read, toHash } from "./values.js";
import { Problem } from "./wire.js";

const DEFAULTS = { temperature: "0.8", top_k: "0", length: "300", samples: "1" }; // until those of the export are known
const MAX_CHARS = 100_000; // for an export that states no limit
const SHADED_CHARS = 20_000; // of one text: each is an element, and browsers become slow beyond this number

const $ = (id) => document.getElementById(id);
const served = new Served($("served"), $("version"), () => applyLimits());
let running = null; // AbortController of the current work
let samples = [];
let samplesPath = null; // path of the version that generated the samples
const unchanged = new Set(Object.keys(DEFAULTS)); // controls that follow the defaults of the export

function setStatus(text) {
  $("status").textContent = text;
}

function showProblem(error) {
  console.assert(error instanceof Problem, error);
  const internal = "Internal error of the page. Reload it; the browser's console has details.";
  $("error").textContent = error instanceof Problem ? error.message : internal;
  $("error").hidden = false;
  if (error.control) {
    $(error.control).setAttribute("aria-invalid", "true");
    $(error.control).setAttribute("aria-errormessage", "error");
    $(error.control).focus();
  } else {
    $("error").scrollIntoView({ block: "nearest" });
  }
  if (error.status) served.refresh(); // the versions may have changed
}

function clearProblem() {
  $("error").hidden = true;
  for (const control of document.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
}

function controlTexts() {
  return Object.fromEntries(NAMES.map((key) => [key, $(key).value]));
}

/** Apply the limits of the export, and its defaults to the controls that the user has not changed. */
function applyLimits() {
  const limits = served.version?.limits;
  $("length").max = limits?.max_chars ?? MAX_CHARS;
  const defaults = { temperature: limits?.temperature, top_k: limits?.top_k, length: limits?.num_chars };
  for (const [key, value] of Object.entries(defaults)) {
    if (value !== undefined && unchanged.delete(key)) fill({ [key]: String(value) });
  }
}

/** Run work that Stop can abort. The status becomes its result, or `stopped()`, unless newer work replaced it. */
async function run(work, stopped) {
  running?.abort();
  const controller = (running = new AbortController());
  clearProblem();
  $("stop").disabled = false;
  try {
    const status = await work(controller.signal);
    if (running === controller) setStatus(status);
  } catch (error) {
    if (running !== controller) return;
    if (controller.signal.aborted) {
      setStatus(stopped());
    } else {
      setStatus("");
      showProblem(error);
    }
  } finally {
    if (running === controller) {
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
      if (!version) throw new Problem(served.problem);
      const values = read(controlTexts(), version.limits?.max_chars ?? MAX_CHARS);
      history.replaceState(null, "", `#${toHash(controlTexts())}`);
      const path = versionPath(served.about.model, version.version);
      setStatus("Generating…");
      const started = performance.now();
      for await (const texts of generateChunks(path, values, signal)) {
        if (!count) {
          // Not before the first chunk: if the server rejects the request, the previous samples stay.
          samplesPath = path;
          show(texts.map((_, i) => new Sample(i + 1, values.seed + i, values.prompt)));
        }
        texts.forEach((text, i) => samples[i].append(text));
        count += Array.from(texts[0]).length;
      }
      const seconds = (performance.now() - started) / 1000;
      for (const sample of samples) sample.finish();
      const each = values.samples > 1 ? ` in each of ${values.samples} samples` : "";
      const status = `${count} characters${each} in ${seconds.toFixed(1)} s.`;
      if ($("shade").checked) await shade(signal);
      return status;
    },
    () => `Stopped after ${count} characters.`,
  );
}

function show(newSamples) {
  samples = newSamples;
  for (const sample of samples) sample.listen($("readout"));
  $("samples-list").replaceChildren(...samples.map((sample) => sample.element));
  $("empty").hidden = true;
  const below = $("output").getBoundingClientRect().top > innerHeight * 0.4;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  if (below) $("output").scrollIntoView({ behavior });
}

async function shade(signal) {
  setStatus("Scoring…");
  // Without a prompt the model starts as after a newline, so a newline is the context of the first character.
  const context = samples[0].prompt === "" ? ["\n"] : [];
  const texts = samples.map((sample) => [...context, ...Array.from(sample.fullText).slice(0, SHADED_CHARS)]);
  const nats = await score(samplesPath, texts.map((text) => text.join("")), signal);
  if (!$("shade").checked) return; // the user unchecked it meanwhile
  samples.forEach((sample, i) => sample.shade(context.length ? nats[i] : [undefined, ...nats[i]]));
}

async function toggleShade() {
  $("legend").hidden = !$("shade").checked;
  if (running || !samples.length) return; // running work shades its samples at the end
  if (!$("shade").checked) {
    for (const sample of samples) sample.unshade();
    return;
  }
  await run(
    async (signal) => {
      await shade(signal);
      const truncated = samples.some((sample) => Array.from(sample.fullText).length > SHADED_CHARS);
      return truncated ? `The first ${SHADED_CHARS} characters of each text are shaded.` : "Shaded.";
    },
    () => "Stopped.",
  );
}

function fill(values) {
  for (const [key, value] of Object.entries(values)) {
    if (key === "version") served.choose(value);
    else $(key).value = value;
  }
  if (values.seed) $("new-seed").checked = false; // a given seed must repeat its text
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
  applyLimits();
});
$("shade").addEventListener("change", toggleShade);
$("link").addEventListener("click", (event) => {
  history.replaceState(null, "", `#${toHash(controlTexts())}`);
  copyText(location.href, event.currentTarget);
});
addEventListener("hashchange", () => fill(fromHash(location.hash)));

fill(DEFAULTS);
$("seed").value = newSeed();
fill(fromHash(location.hash));
for (const key of Object.keys(fromHash(location.hash))) unchanged.delete(key);
$("controls").addEventListener("input", (event) => unchanged.delete(event.target.id.replace("-slider", "")));
served.follow();
