// One version of the model, by its own signatures: writing in chunks, and scoring.

import { ask, numbers, Problem } from "./wire.js";

const FIRST_CHUNK = 16; // characters: something to read at once
const LARGEST_CHUNK = 1000;
const CHUNK_MILLISECONDS = 200; // long enough that carrying the state costs little, short enough to look like writing

const widths = new Map(); // of a version's state

/** The path of a version, which stays the same version while a newer one takes over. */
export function place(model, version) {
  return `v1/models/${encodeURIComponent(model)}/versions/${version}`;
}

async function stateWidth(at, signal) {
  if (!widths.has(at)) {
    const { metadata } = await ask(`${at}/metadata`, undefined, signal);
    const inputs = metadata?.signature_def?.signature_def?.generate_from_state?.inputs;
    const width = Number(inputs?.state?.tensor_shape?.dim?.[1]?.size);
    if (!(width > 0)) {
      throw new Problem("The served model has no signature generate_from_state: it is no OneStep model of the pipeline.");
    }
    widths.set(at, width);
  }
  return widths.get(at);
}

/** Size of the next chunk from that of the last and the time it took, in milliseconds. */
export function nextChunk(size, elapsed) {
  const growth = Math.min(4, CHUNK_MILLISECONDS / Math.max(elapsed, 1));
  return Math.max(FIRST_CHUNK, Math.min(LARGEST_CHUNK, Math.round(size * growth)));
}

/**
 * Write `length` characters after the prompt, in `samples` rows of one request with seeds seed, seed + 1, ...
 *
 * Yields, for each chunk, an array of new texts, one for each row. Joined, they are what one `generate` gives.
 */
export async function* write(at, { prompt, temperature, topK, seed, samples, length }, signal) {
  const zeros = new Array(await stateWidth(at, signal)).fill(0);
  const rows = [...Array(samples).keys()];
  let states = rows.map(() => zeros);
  let size = FIRST_CHUNK;
  let done = 0;
  do {
    const count = Math.min(size, length - done);
    const instances = rows.map(
      (row) =>
        // The prompt is read once; afterwards it is in the state.
        `{"prompt":${JSON.stringify(done ? "" : prompt)},"num_chars":${count},"temperature":${temperature},` +
        `"top_k":${topK},"seed":${seed + row},"state":${numbers(states[row])}}`,
    );
    const body = `{"signature_name":"generate_from_state","instances":[${instances.join(",")}]}`;
    const started = performance.now();
    const { predictions } = await ask(`${at}:predict`, body, signal);
    const elapsed = performance.now() - started;
    if (predictions?.length !== samples) throw new Problem("The model server's answer has another number of rows.");
    states = predictions.map((row) => row.state.map(Number));
    yield predictions.map((row) => row.text);
    done += count;
    size = nextChunk(count, elapsed);
  } while (done < length);
}

/** Nats of each character but the first, an array for each text. */
export async function score(at, texts, signal) {
  const body = JSON.stringify({ signature_name: "score", instances: texts.map((text) => ({ text })) });
  const { predictions } = await ask(`${at}:predict`, body, signal);
  if (predictions?.length !== texts.length) throw new Problem("The model server's answer has another number of rows.");
  return predictions.map((row) => row.nll.slice(0, row.num_chars).map(Number));
}
