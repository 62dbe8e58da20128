// Requests to one version of the model: generation in chunks, and scoring.

import { Problem, request, stateJson } from "./wire.js";

const FIRST_CHUNK = 16; // characters: the first text appears at once
const MAX_CHUNK = 1000;
const CHUNK_MILLISECONDS = 200; // long enough that sending the state costs little, short enough to look like typing

const widths = new Map(); // width of the state by path of the version

/** The path of a version. It names the version, so that a newer one does not replace it between chunks. */
export function versionPath(model, version) {
  return `v1/models/${encodeURIComponent(model)}/versions/${version}`;
}

async function stateWidth(path, signal) {
  if (!widths.has(path)) {
    const { metadata } = await request(`${path}/metadata`, undefined, signal);
    const inputs = metadata?.signature_def?.signature_def?.generate_from_state?.inputs;
    const width = Number(inputs?.state?.tensor_shape?.dim?.[1]?.size);
    if (!(width > 0)) {
      throw new Problem("The served model has no signature generate_from_state: this pipeline did not export it.");
    }
    widths.set(path, width);
  }
  return widths.get(path);
}

/** Size of the next chunk, from the size of the last one and the milliseconds that it took. */
export function nextChunk(size, elapsed) {
  const growth = Math.min(4, CHUNK_MILLISECONDS / Math.max(elapsed, 1));
  return Math.max(FIRST_CHUNK, Math.min(MAX_CHUNK, Math.round(size * growth)));
}

/**
 * Generate `length` characters after the prompt, in `samples` rows of one request with seeds seed, seed + 1, ...
 *
 * Yields an array of new texts, one for each row, per chunk. Joined, they equal the text of one `generate` request.
 */
export async function* generateChunks(path, { prompt, temperature, topK, seed, samples, length }, signal) {
  const zeros = new Array(await stateWidth(path, signal)).fill(0);
  const rows = [...Array(samples).keys()];
  let states = rows.map(() => zeros);
  let size = FIRST_CHUNK;
  let done = 0;
  do {
    const count = Math.min(size, length - done);
    const instances = rows.map(
      (row) =>
        // Only the first chunk reads the prompt; later ones continue from the state.
        `{"prompt":${JSON.stringify(done ? "" : prompt)},"num_chars":${count},"temperature":${temperature},` +
        `"top_k":${topK},"seed":${seed + row},"state":${stateJson(states[row])}}`,
    );
    const body = `{"signature_name":"generate_from_state","instances":[${instances.join(",")}]}`;
    const started = performance.now();
    const { predictions } = await request(`${path}:predict`, body, signal);
    const elapsed = performance.now() - started;
    if (predictions?.length !== samples) throw new Problem("The model server returned a wrong number of rows.");
    states = predictions.map((row) => row.state.map(Number));
    yield predictions.map((row) => row.text);
    done += count;
    size = nextChunk(count, elapsed);
  } while (done < length);
}

/** Negative log-likelihood of each character but the first, in nats; an array for each text. */
export async function score(path, texts, signal) {
  const body = JSON.stringify({ signature_name: "score", instances: texts.map((text) => ({ text })) });
  const { predictions } = await request(`${path}:predict`, body, signal);
  if (predictions?.length !== texts.length) throw new Problem("The model server returned a wrong number of rows.");
  return predictions.map((row) => row.nll.slice(0, row.num_chars).map(Number));
}
