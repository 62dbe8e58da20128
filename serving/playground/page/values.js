// Values of the controls, checked only where the request would be malformed, and the link that holds them.

import { Problem } from "./wire.js";

const INT32 = 2 ** 31 - 1;
export const MAX_SEED = Number.MAX_SAFE_INTEGER; // larger numbers lose digits in JavaScript
export const MAX_SAMPLES = 16;

function integer(raw, control, label, low, high) {
  const text = raw[control];
  const value = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : NaN;
  if (!(value >= low && value <= high)) {
    const received = text.trim() || "nothing";
    throw new Problem(`${label} must be a whole number from ${low} to ${high}. Received: ${received}.`, { control });
  }
  return value;
}

/**
 * Parse the texts of the controls.
 *
 * The server checks the bounds of temperature and top-k; `maxChars` is the limit of the export.
 * Throws Problem.
 */
export function read(raw, maxChars) {
  const temperature = raw.temperature.trim() === "" ? NaN : Number(raw.temperature);
  if (!Number.isFinite(temperature)) {
    throw new Problem(`Temperature must be a number. Received: ${raw.temperature.trim() || "nothing"}.`, {
      control: "temperature",
    });
  }
  const samples = integer(raw, "samples", "Samples", 1, MAX_SAMPLES);
  return {
    // A lone surrogate cannot be encoded in UTF-8.
    prompt: raw.prompt.toWellFormed?.() ?? raw.prompt,
    temperature,
    topK: integer(raw, "top_k", "Top-k", -INT32, INT32),
    length: integer(raw, "length", "Length", 1, maxChars),
    samples,
    seed: integer(raw, "seed", "Seed", -MAX_SEED, MAX_SEED - samples + 1),
  };
}

/** A random seed of at most six digits, easy to read and to type. */
export function newSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;
}

export const NAMES = ["prompt", "temperature", "top_k", "length", "samples", "seed", "version"];

/** The part of a link after `#`. */
export function toHash(raw) {
  return new URLSearchParams(NAMES.filter((key) => raw[key] !== "").map((key) => [key, raw[key]])).toString();
}

/** The texts of the controls in a link's hash; controls that it does not name are left out. */
export function fromHash(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  return Object.fromEntries(NAMES.filter((key) => given.has(key)).map((key) => [key, given.get(key)]));
}
