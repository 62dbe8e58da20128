// Values of the controls, checked only where the request would be malformed, and the link that holds them.

import { Problem } from "./wire.js";

const INT32 = 2 ** 31 - 1;
export const MAX_SEED = Number.MAX_SAFE_INTEGER; // larger numbers lose digits in JavaScript
export const MAX_SAMPLES = 16;

/** Controls that a comparison can change in its second column: name in a sentence, and a first value. */
export const COMPARABLE = {
  temperature: { name: "temperature", value: "1.2" },
  top_k: { name: "top-k", value: "5" },
  top_p: { name: "top-p", value: "0.8" },
  repetition_penalty: { name: "repetition penalty", value: "1.3" },
  stop_text: { name: "stop text", value: "\\n" },
  version: { name: "version", value: "" },
};

function integer(raw, control, label, low, high) {
  const text = raw[control];
  const value = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : NaN;
  if (!(value >= low && value <= high)) {
    const received = text.trim() || "nothing";
    throw new Problem(`${label} must be a whole number from ${low} to ${high}. Received: ${received}.`, { control });
  }
  return value;
}

function number(raw, control, label) {
  const text = raw[control].trim();
  const value = text === "" ? NaN : Number(text);
  if (!Number.isFinite(value)) {
    throw new Problem(`${label} must be a number. Received: ${text || "nothing"}.`, { control });
  }
  return value;
}

/** A text of one line, in which \n, \t, \r and \\ stand for a line end, a tab, a carriage return and a backslash. */
function unescape(text) {
  const meanings = { n: "\n", t: "\t", r: "\r", "\\": "\\" };
  return text.replace(/\\([ntr\\])/g, (_, letter) => meanings[letter]);
}

// Unicode's full case folding of a character, which JavaScript does not have: Cherokee letters become capitals.
function fold(character) {
  if (/\p{Script=Cherokee}/u.test(character)) return character.toUpperCase();
  return character === "ı" ? character : character.toLowerCase().toUpperCase().toLowerCase();
}

/** A text as the model reads it: `limits` state whether its export normalizes texts (NFC) and folds their case. */
export function asRead(text, { normalization, fold_case: folds }) {
  const wellFormed = text.toWellFormed?.() ?? text; // a lone surrogate cannot be encoded in UTF-8
  const parts = normalization && folds ? wellFormed.normalize("NFD") : wellFormed;
  const folded = folds ? Array.from(parts, fold).join("") : parts;
  return normalization ? folded.normalize(normalization.toUpperCase()) : folded;
}

/**
 * Parse the texts of the controls; prompt and stop text are returned as the model reads them.
 *
 * The server checks the bounds of the sampling controls; `limits` are those of the export. Throws Problem.
 */
export function read(raw, limits) {
  const temperature = number(raw, "temperature", "Temperature");
  const samples = integer(raw, "samples", "Samples", 1, MAX_SAMPLES);
  return {
    prompt: asRead(raw.prompt, limits),
    temperature,
    topK: integer(raw, "top_k", "Top-k", -INT32, INT32),
    topP: number(raw, "top_p", "Top-p"),
    repetitionPenalty: number(raw, "repetition_penalty", "Repetition penalty"),
    stop: asRead(unescape(raw.stop_text), limits),
    length: integer(raw, "length", "Length", 1, limits.max_chars),
    samples,
    seed: integer(raw, "seed", "Seed", -MAX_SEED, MAX_SEED - samples + 1),
  };
}

/**
 * The columns of the output: one, or two that differ in the control `raw.compare`.
 *
 * Each has the texts of its controls as `raw`, a `title` that names the difference, and `controls`: the element whose
 * value it has for the control that differs.
 */
export function columns(raw) {
  const key = raw.compare;
  if (!COMPARABLE[key]) return [{ raw, title: "", controls: {} }];
  const other = key === "version" ? "compare_version" : "compare_value";
  const title = (value) => `${COMPARABLE[key].name} ${value || "none"}`;
  return [
    { raw, title: title(raw[key]), controls: {} },
    { raw: { ...raw, [key]: raw[other] }, title: title(raw[other]), controls: { [key]: other } },
  ];
}

/** Run a step of one column; a control with a wrong value is the one that this column reads. */
export async function inColumn(column, work) {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Problem && error.control) error.control = column.controls[error.control] ?? error.control;
    throw error;
  }
}

/** A random seed of at most six digits, easy to read and to type. */
export function newSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;
}

export const NAMES = [
  ...["prompt", "temperature", "top_k", "top_p", "repetition_penalty", "stop_text"],
  ...["length", "samples", "seed", "version", "compare", "compare_value", "compare_version"],
];

/** The part of a link after `#`. */
export function toHash(raw) {
  return new URLSearchParams(NAMES.filter((key) => raw[key] !== "").map((key) => [key, raw[key]])).toString();
}

/** The texts of the controls in a link's hash; controls that it does not name are left out. */
export function fromHash(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  return Object.fromEntries(NAMES.filter((key) => given.has(key)).map((key) => [key, given.get(key)]));
}
