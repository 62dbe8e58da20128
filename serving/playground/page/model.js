// Requests to one version of the model: generation in chunks, scores, and alternatives.

import { Problem, request, stateJson } from "./wire.js";

const FIRST_CHUNK = 16; // characters: the first text appears at once
const MAX_CHUNK = 1000;
const CHUNK_MILLISECONDS = 200; // long enough that sending the state costs little, short enough to look like typing

const known = new Map(); // signatures by path of the version

/** The path of a version. It names the version, so that a newer one does not replace it between chunks. */
export function versionPath(model, version) {
  return `v1/models/${encodeURIComponent(model)}/versions/${version}`;
}

/** The signatures of a version: a Map from name to the width of the state that it takes, NaN without one. */
export async function signatures(path, signal) {
  if (!known.has(path)) {
    const { metadata } = await request(`${path}/metadata`, undefined, signal);
    const found = Object.entries(metadata?.signature_def?.signature_def ?? {});
    const width = ({ inputs }) => Number(inputs?.state?.tensor_shape?.dim?.[1]?.size);
    known.set(path, new Map(found.map(([name, signature]) => [name, width(signature)])));
  }
  return known.get(path);
}

async function stateWidth(path, signature, signal) {
  const width = (await signatures(path, signal)).get(signature);
  if (width > 0) return width;
  if (signature === "generate_from_state") {
    throw new Problem("The served model has no signature generate_from_state: this pipeline did not export it.");
  }
  const version = path.split("/").pop();
  throw new Problem(
    `Version ${version} has no top-p, repetition penalty and stop text: its export is older than they are. ` +
      "Set top-p and repetition penalty to 1, clear the stop text, or choose a newer version.",
  );
}

/** Size of the next chunk, from the size of the last one and the milliseconds that it took. */
export function nextChunk(size, elapsed) {
  const growth = Math.min(4, CHUNK_MILLISECONDS / Math.max(elapsed, 1));
  return Math.max(FIRST_CHUNK, Math.min(MAX_CHUNK, Math.round(size * growth)));
}

/** Length of the longest end of `text` that is the beginning of `stop`, but not all of it. */
function partialMatch(text, stop) {
  let size = Math.min(stop.length - 1, text.length);
  while (size > 0 && !stop.startsWith(text.slice(-size))) size--;
  return Math.max(size, 0);
}

/**
 * Generate `length` characters after the prompt, in `samples` rows of one request with seeds seed, seed + 1, ...
 *
 * Yields an array of new texts, one for each row, per chunk. Joined, they equal the text of one `generate` or `sample`
 * request, without the stop text that ended a row. Without top-p, repetition penalty and stop text, exports that do not
 * know them serve it, too.
 */
export async function* generateChunks(path, values, signal) {
  const { prompt, temperature, topK, topP, repetitionPenalty, stop, seed, samples, length } = values;
  const extended = topP !== 1 || repetitionPenalty !== 1 || stop !== "";
  const signature = extended ? "sample_from_state" : "generate_from_state";
  const zeros = new Array(await stateWidth(path, signature, signal)).fill(0);
  const controls =
    `"temperature":${temperature},"top_k":${topK},` +
    (extended ? `"top_p":${topP},"repetition_penalty":${repetitionPenalty},"stop":${JSON.stringify(stop)},` : "");
  let rows = Array.from({ length: samples }, (_, index) => ({ index, state: zeros, held: "" }));
  let size = FIRST_CHUNK;
  let done = 0;
  do {
    const count = Math.min(size, length - done);
    const instances = rows.map(
      ({ index, state }) =>
        // Only the first chunk reads the prompt; later ones continue from the state.
        `{"prompt":${JSON.stringify(done ? "" : prompt)},"num_chars":${count},${controls}` +
        `"seed":${seed + index},"state":${stateJson(state)}}`,
    );
    const body = `{"signature_name":"${signature}","instances":[${instances.join(",")}]}`;
    const started = performance.now();
    const { predictions } = await request(`${path}:predict`, body, signal);
    const elapsed = performance.now() - started;
    if (predictions?.length !== rows.length) throw new Problem("The model server returned a wrong number of rows.");
    done += count;
    const texts = new Array(samples).fill("");
    rows = rows.filter((row, i) => {
      const { text, state, stopped } = predictions[i];
      const received = row.held + text;
      // The stop text is never shown, also where only its beginning has arrived; unless the model reads it in a form
      // that the page does not know, because it does not have the export's limits.
      const ending = received.endsWith(stop) ? stop.length : 0;
      const held = stopped ? ending : done < length ? partialMatch(received, stop) : 0;
      const shown = received.length - held;
      texts[row.index] = received.slice(0, shown);
      Object.assign(row, { state: state.map(Number), held: received.slice(shown) });
      return !stopped;
    });
    yield texts;
    size = nextChunk(count, elapsed);
  } while (done < length && rows.length);
}

async function rowsOf(path, signature, instances, signal) {
  const body = JSON.stringify({ signature_name: signature, instances });
  const { predictions } = await request(`${path}:predict`, body, signal);
  if (predictions?.length !== instances.length) throw new Problem("The model server returned a wrong number of rows.");
  return predictions;
}

/** Probabilities belong to single characters only if the model reads as many of them as are shown. */
function checkLength(text, found) {
  const shown = Array.from(text).length;
  if (shown === found) return;
  throw new Problem(
    `The model reads a text as ${found} characters, not as the ${shown} that are shown, because it normalizes texts, ` +
      "so that its probabilities cannot be assigned to them. Write the prompt as the model reads it: é as one " +
      "character, or small letters only.",
  );
}

/** Negative log-likelihood of each character but the first, in nats; an array for each text. */
export async function score(path, texts, signal) {
  const predictions = await rowsOf(path, "score", texts.map((text) => ({ text })), signal);
  predictions.forEach((row, i) => checkLength(texts[i], row.num_chars + 1));
  return predictions.map((row) => row.nll.slice(0, row.num_chars).map(Number));
}

/** The `count` most likely characters at each position of a text: arrays of { character, probability }, in order. */
export async function alternatives(path, text, count, signal) {
  const rows = await rowsOf(path, "alternatives", [{ text, top_n: count }], signal);
  const [{ characters, probabilities, num_chars: found }] = rows;
  checkLength(text, found);
  return characters.map((row, t) =>
    row.map((character, i) => ({ character, probability: Number(probabilities[t][i]) })).filter((one) => one.character),
  );
}
