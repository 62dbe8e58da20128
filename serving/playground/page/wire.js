// Requests to the server: JSON as TF Serving writes it, and readable error messages.

/** An error for the user: a paragraph, and the control that has a wrong value, if any. */
export class Problem extends Error {
  constructor(message, { status = 0, control = null } = {}) {
    super(message);
    Object.assign(this, { status, control });
  }
}

// TF Serving writes NaN and Infinity without quotes, which is not JSON. Strings are matched first and stay unchanged.
const UNQUOTED = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g;

/** Parse JSON; numbers that JSON cannot represent become the strings "NaN", "Infinity" and "-Infinity". */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(UNQUOTED, (found) => (found.startsWith('"') ? found : `"${found}"`)));
  }
}

/** A state as exact JSON: JSON.stringify drops the sign of -0 and replaces NaN by null. */
export function stateJson(values) {
  const numbers = values.map((value) => (Object.is(value, -0) ? "-0.0" : String(value)));
  return `[${numbers.join(",")}]`;
}

// What TensorFlow adds to the message of an operation: nodes and functions, stacks of calls, and counts of errors.
const NODES = /\{\{(?:function_)?node [^{}]*\}\}|\[\[(?:[^[\]{}]*\{\{node [^{}]*\}\}|[A-Za-z_][\w/]*)\]\]|\[Op:\w+\]/g;
const STACK = /Detected at node .* defined at \(most recent call last\):\n(?:<stack traces .*>\n|\s*File ".*\n)*/g;
const HEADINGS = /^(?:\s|Graph execution error:|\d+ root error\(s\) found\.|\(\d+\)|[A-Z_]{5,}:)+/;

/** The server's message without TensorFlow's graph nodes. */
export function plain(message) {
  const text = message.slice(0, 20_000).replace(NODES, "").replace(STACK, "").replace(HEADINGS, "");
  const assertion = /assertion failed: \[([^\]]*)\](?: \[([^\]]*)\])?/.exec(text);
  if (assertion?.[2]) {
    const received = [...new Set(assertion[2].split(" "))].join(" "); // one value for each row, mostly equal
    return `${assertion[1]}. Received: ${received}.`;
  }
  if (assertion) return `${assertion[1]}.`;
  const first = text.trim().split("\n")[0].trim();
  const short = first.length > 300 ? `${first.slice(0, 300)}…` : first || "no message";
  return /[.!?…]$/.test(short) ? short : `${short}.`;
}

function explain(status, message) {
  if (status === 400) return `Rejected by the model server: ${plain(message)}`;
  if (status === 404) {
    return `The model server no longer serves this version: ${plain(message)} Generate again to use the newest.`;
  }
  if (status === 429 || status === 503) {
    return `The model server is busy or still loading the model; try again in a moment. It reported: ${plain(message)}`;
  }
  if (status === 403 || status === 413 || status === 502 || status === 504) return plain(message);
  return `The model server failed (${status}): ${plain(message)}`;
}

/** Send a request and return the parsed response. Throws Problem, or AbortError when the signal aborts. */
export async function request(path, body, signal) {
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
    throw new Problem("The playground no longer responds. Start it again with: python -m serving up");
  }
  let answer;
  try {
    answer = parse(text);
  } catch {
    throw new Problem(`The response is not from a model server (status ${response.status}).`);
  }
  const { ok, status } = response;
  if (!ok) {
    const message = String(answer?.error ?? "no message");
    const input = /assertion failed: \[(temperature|top_k|top_p|repetition_penalty|stop) must/.exec(message)?.[1];
    const control = input === "stop" ? "stop_text" : (input ?? null); // "stop" is the button
    throw new Problem(explain(status, message), { status, control });
  }
  return answer;
}
