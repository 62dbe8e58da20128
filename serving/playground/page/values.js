// What the controls say, checked only as far as the request could not be written otherwise; and the link that holds it.

import { Problem } from "./wire.js";

const INT32 = 2 ** 31 - 1;
export const LARGEST_SEED = Number.MAX_SAFE_INTEGER; // beyond it JavaScript loses digits, and the text could not be repeated
export const MOST_SAMPLES = 16;

function whole(raw, control, label, low, high) {
  const text = raw[control];
  const value = /^\s*[+-]?\d+\s*$/.test(text) ? Number(text) : NaN;
  if (!(value >= low && value <= high)) {
    throw new Problem(`${label} must be a whole number from ${low} to ${high}. Received: ${text.trim() || "nothing"}.`, {
      control,
    });
  }
  return value;
}

/**
 * Read raw texts into values.
 *
 * The model's own bounds (temperature, top-k) are left to the server, which knows them; `maxChars` is the export's.
 * Throws Problem.
 */
export function read(raw, maxChars) {
  const temperature = raw.temperature.trim() === "" ? NaN : Number(raw.temperature);
  if (!Number.isFinite(temperature)) {
    throw new Problem(`Temperature must be a number. Received: ${raw.temperature.trim() || "nothing"}.`, {
      control: "temperature",
    });
  }
  const samples = whole(raw, "samples", "Samples", 1, MOST_SAMPLES);
  return {
    // A lone half of a surrogate pair is no character, and cannot be written in UTF-8.
    prompt: raw.prompt.toWellFormed?.() ?? raw.prompt,
    temperature,
    topK: whole(raw, "top_k", "Top-k", -INT32, INT32),
    length: whole(raw, "length", "Length", 1, maxChars),
    samples,
    seed: whole(raw, "seed", "Seed", -LARGEST_SEED, LARGEST_SEED - samples + 1),
  };
}

/** A seed short enough to be read out on the telephone. */
export function newSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;
}

export const NAMES = ["prompt", "temperature", "top_k", "length", "samples", "seed", "version"];

/** The part of a link after `#`. */
export function toHash(raw) {
  return new URLSearchParams(NAMES.filter((key) => raw[key] !== "").map((key) => [key, raw[key]])).toString();
}

/** Raw texts of a link's hash; only those that it has. */
export function fromHash(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  return Object.fromEntries(NAMES.filter((key) => given.has(key)).map((key) => [key, given.get(key)]));
}
