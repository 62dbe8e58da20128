// The page: reads the controls, requests texts and shows them.

import { Controls, MAX_CHARS } from "./controls.js";
import { Inspector } from "./inspect.js";
import { alternatives, generateChunks, score, signatures, versionPath } from "./model.js";
import { copyText, Sample } from "./samples.js";
import { Served } from "./served.js";
import { MAX_ELEMENTS } from "./shade.js";
import { columns, inColumn, newSeed, read, toHash } from "./values.js";
import { Problem } from "./wire.js";

const ALTERNATIVES = 5; // listed for each character

const $ = (id) => document.getElementById(id);
const served = new Served($("served"), [$("version"), $("compare_version")], () => versionChanged());
const controls = new Controls(served);
const inspector = new Inspector($("samples-list"), $("readout"), {
  find: (element) => samples.find((sample) => sample.element.contains(element)),
  load: loadAlternatives,
  take: continueWith,
});
let running = null; // AbortController of the current work
let samples = [];

const setStatus = (text) => ($("status").textContent = text);

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

/** Apply limits, defaults and signatures of the selected version. */
async function versionChanged() {
  const { version } = served;
  controls.applyLimits(version?.limits);
  if (!version) return;
  try {
    const found = await signatures(versionPath(served.about.model, version.version));
    if (served.version?.version === version.version) controls.enable(found.has("sample_from_state"));
  } catch {
    // Generation reports why the server does not respond.
  }
}

/** Run work that Stop can abort. The status becomes its result, or `stopped()`, unless newer work replaced it. */
async function run(work, stopped) {
  running?.abort();
  inspector.close();
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
    controller.abort(); // after an error in one column, the other one stops
    if (running === controller) {
      running = null;
      for (const sample of samples) sample.finish();
      if (document.activeElement === $("stop")) $("generate").focus(); // a disabled button would lose the focus
      $("stop").disabled = true;
    }
  }
}

async function prepare(column, count, signal) {
  const version = served.find(column.raw.version);
  if (!version) throw new Problem(served.problem(column.raw.version));
  const values = read(column.raw, { max_chars: MAX_CHARS, ...version.limits });
  const path = versionPath(served.about.model, version.version);
  const choices = (await signatures(path, signal)).has("alternatives");
  const title = column.raw.compare === "version" ? `version ${version.version}` : column.title;
  // The export limits texts × characters × alternatives of one request.
  const share = (version.limits?.max_score_chars || Infinity) / Math.max(ALTERNATIVES, values.samples * count);
  const limit = Math.min(MAX_ELEMENTS, Math.floor(share) - 1); // one is the context
  return { path, values, choices, title, limit, chunks: generateChunks(path, values, signal) };
}

async function generate() {
  let shown = [];
  if ($("new-seed").checked) $("seed").value = newSeed();
  await run(
    async (signal) => {
      if (!served.version) await served.refresh();
      const raw = controls.texts();
      const compared = columns(raw);
      const count = compared.length;
      const prepared = await Promise.all(compared.map((one) => inColumn(one, () => prepare(one, count, signal))));
      history.replaceState(null, "", `#${toHash(raw)}`);
      setStatus("Generating…");
      const started = performance.now();
      const next = (i) => inColumn(compared[i], () => prepared[i].chunks.next());
      // Not before the first chunks: if the server rejects a request, the previous samples stay.
      const first = await Promise.all(prepared.map((_, i) => next(i)));
      shown = prepared.map((one) => newSamples(one));
      show(shown);
      await Promise.all(shown.map((rows, i) => append(rows, first[i], () => next(i))));
      return await finish(started, signal);
    },
    () => `Stopped after ${longest(shown.flat())} characters.`,
  );
}

function newSamples({ path, values, choices, title, limit }) {
  return Array.from({ length: values.samples }, (_, row) => {
    const origin = { path, values, limit, seed: values.seed + row };
    return new Sample(`Sample ${row + 1}${title && `, ${title}`}`, values.prompt, origin, choices);
  });
}

/** Append each chunk to the texts, from `step` on, which has already been requested. */
async function append(rows, step, next) {
  for (; !step.done; step = await next()) step.value.forEach((text, i) => rows[i].append(text));
  for (const sample of rows) sample.finish();
}

const longest = (texts) => Math.max(0, ...texts.map((sample) => sample.generated));

async function finish(started, signal, texts = samples) {
  const seconds = (performance.now() - started) / 1000;
  const each = texts.length > 1 ? ` in each of ${texts.length} texts` : "";
  const status = `${longest(texts)} characters${each} in ${seconds.toFixed(1)}\u00a0s.`;
  if ($("shade").checked) await shade(signal);
  return status;
}

function show(compared) {
  for (const sample of samples) sample.dispose();
  samples = compared[0].flatMap((_, row) => compared.map((rows) => rows[row])); // side by side
  $("samples-list").classList.toggle("columns", compared.length > 1);
  $("samples-list").replaceChildren(...samples.map((sample) => sample.element));
  $("empty").hidden = true;
  showHint();
  const below = $("output").getBoundingClientRect().top > innerHeight * 0.4;
  const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
  if (below) $("output").scrollIntoView({ behavior });
}

function showHint() {
  const choices = samples.some((sample) => sample.choices);
  $("readout").hidden = !choices && !$("shade").checked;
  const shown = choices ? "its most likely alternatives" : "its probability";
  $("readout").textContent = `Hover over or tap a character, or use the arrow keys, for ${shown}.`;
}

/** Alternatives for each character of a sample. */
async function loadAlternatives(sample) {
  const found = await alternatives(sample.origin.path, sample.scored, ALTERNATIVES, sample.controller.signal);
  return found.slice(sample.context.length);
}

/** Replace a sample's text from a character on, and generate after it with the settings of that sample. */
async function continueWith(sample, index, character) {
  const seed = $("new-seed").checked ? newSeed() : sample.origin.seed;
  let taken = false;
  await run(
    async (signal) => {
      const { path, values } = sample.origin;
      const kept = sample.context + sample.upTo(index) + character;
      setStatus("Generating…");
      const started = performance.now();
      const chunks = generateChunks(path, { ...values, prompt: kept, seed, samples: 1 }, signal);
      const first = await chunks.next();
      taken = true;
      sample.replace(index, character, seed);
      showHint();
      await append([sample], first, () => chunks.next());
      return await finish(started, signal, [sample]);
    },
    () => `Stopped after ${taken ? longest([sample]) : 0} characters.`,
  );
}

async function shade(signal) {
  setStatus("Scoring…");
  const paths = [...new Set(samples.map((sample) => sample.origin.path))];
  for (const path of paths) {
    const rows = samples.filter((sample) => sample.origin.path === path);
    const nats = await score(path, rows.map((sample) => sample.scored), signal);
    if (!$("shade").checked) return; // the user unchecked it meanwhile
    rows.forEach((sample, i) => sample.shade(sample.context ? nats[i] : [undefined, ...nats[i]]));
  }
}

async function toggleShade() {
  $("legend").hidden = !$("shade").checked;
  showHint();
  if (running || !samples.length) return; // running work shades its samples at the end
  if (!$("shade").checked) {
    inspector.close();
    for (const sample of samples) sample.unshade();
    return;
  }
  await run(
    async (signal) => {
      await shade(signal);
      const truncated = samples.some((sample) => Array.from(sample.fullText).length > sample.origin.limit);
      return truncated ? "The first characters of each text are shaded." : "Shaded.";
    },
    () => "Stopped.",
  );
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
$("version").addEventListener("change", () => {
  served.describe();
  versionChanged();
});
$("shade").addEventListener("change", toggleShade);
$("link").addEventListener("click", (event) => {
  history.replaceState(null, "", `#${toHash(controls.texts())}`);
  copyText(location.href, event.currentTarget);
});
served.follow();
