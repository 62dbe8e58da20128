// Talking to the server: JSON as TF Serving writes it, and what went wrong in words.

/** What the reader is told: a paragraph, and the control to mend, if there is one. */
export class Problem extends Error {
  constructor(message, { status = 0, control = null } = {}) {
    super(message);
    Object.assign(this, { status, control });
  }
}

// TF Serving writes NaN and Infinity bare, which is not JSON. Texts are matched first, so that theirs stay.
const BARE = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g;

/** Parse JSON; numbers that JSON has no word for become the strings "NaN", "Infinity" and "-Infinity". */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(BARE, (found) => (found.startsWith('"') ? found : `"${found}"`)));
  }
}

/** A state as JSON, each number as it came: JSON.stringify would drop the sign of -0 and make null of NaN. */
export function numbers(values) {
  const written = values.map((value) => (Object.is(value, -0) ? "-0.0" : String(value)));
  return `[${written.join(",")}]`;
}

/** The server's message without TensorFlow's graph nodes. */
export function plain(message) {
  const refused = /assertion failed: \[([^\]]*)\](?: \[([^\]]*)\])?/.exec(message);
  if (refused?.[2]) {
    const received = [...new Set(refused[2].split(" "))].join(" "); // one for each row, mostly the same
    return `${refused[1]}. Received: ${received}.`;
  }
  if (refused) return `${refused[1]}.`;
  const first = message.replaceAll("Graph execution error:", "").trim().split("\n")[0].replace(/\s*\[\[\{\{.*$/, "");
  const short = first.length > 300 ? `${first.slice(0, 300)}…` : first;
  return /[.!?…]$/.test(short) ? short : `${short}.`;
}

function words(status, message) {
  if (status === 400) return `The model server refused: ${plain(message)}`;
  if (status === 404) {
    return `The model server does not serve that version (any more): ${plain(message)} Generate again to ask the newest.`;
  }
  if (status === 429 || status === 503) {
    return `The model server is busy, or still loading the model; try again in a moment. It said: ${plain(message)}`;
  }
  if (status === 403 || status === 413 || status === 502 || status === 504) return plain(message);
  return `The model server failed (${status}): ${plain(message)}`;
}

/** Ask and return the parsed answer. Throws Problem, or AbortError when the signal says so. */
export async function ask(path, body, signal) {
  const options = { signal, cache: "no-store" };
  if (body !== undefined) {
    Object.assign(options, { method: "POST", headers: { "content-type": "application/json" }, body });
  }
  let response, text;
  try {
    response = await fetch(path, options);
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new Problem("The playground does not answer any more. Start it again with: python -m serving up");
  }
  let answer;
  try {
    answer = parse(text);
  } catch {
    throw new Problem(`What came back is not an answer of a model server (status ${response.status}).`);
  }
  const { ok, status } = response;
  if (!ok) {
    const message = String(answer?.error ?? "no reason given");
    const control = /assertion failed: \[(temperature|top_k) must/.exec(message)?.[1] ?? null;
    throw new Problem(words(status, message), { status, control });
  }
  return answer;
}
