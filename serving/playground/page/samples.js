// The generated texts on the page, which grow during generation, can be shaded and be continued from any character.

import { elements } from "./shade.js";

let created = 0;

/** One text, its heading and its Copy button. */
export class Sample {
  /**
   * `origin` holds the `path` of the version, the `values` of the request, the `seed` of this row, and the `limit` of
   * scored characters; `choices` is whether that version lists alternatives.
   */
  constructor(title, prompt, origin, choices) {
    // Without a prompt the model starts as after a newline, so a newline is the context of the first character.
    const context = prompt === "" ? "\n" : "";
    Object.assign(this, { prompt, context, origin, choices, text: "", kept: 0 });
    this.element = document.createElement("article");
    this.element.className = "sample";
    const header = document.createElement("header");
    const heading = document.createElement("h2");
    heading.textContent = title;
    heading.id = `sample-${++created}`;
    this.element.setAttribute("aria-labelledby", heading.id);
    const facts = document.createElement("div");
    facts.className = "facts";
    this.seed = document.createElement("span");
    this.perplexity = document.createElement("span");
    facts.append(this.seed, this.perplexity);
    const copy = document.createElement("button");
    copy.type = "button";
    copy.className = "small";
    copy.textContent = "Copy";
    copy.setAttribute("aria-label", `Copy ${title}`);
    copy.addEventListener("click", () => copyText(this.fullText, copy));
    const titles = document.createElement("div");
    titles.className = "title";
    titles.append(heading, facts);
    header.append(titles, copy);
    this.body = document.createElement("div");
    this.body.className = "text";
    this.body.setAttribute("role", "group");
    this.body.setAttribute("aria-labelledby", heading.id);
    this.body.setAttribute("aria-describedby", "readout");
    this.element.append(header, this.body);
    this.#start();
  }

  /** Prompt and generated text. */
  get fullText() {
    return this.prompt + this.text;
  }

  /** The part of the text that is scored: its first characters, after the context that the model had. */
  get scored() {
    return this.context + this.upTo(this.origin.limit);
  }

  /** Number of characters since the start, or since the last replacement. */
  get generated() {
    return Array.from(this.text).length - this.kept;
  }

  /** The first characters of prompt and generated text. */
  upTo(index) {
    return Array.from(this.fullText).slice(0, index).join("");
  }

  /** Whether something can be shown about single characters. */
  get inspectable() {
    return !this.element.classList.contains("generating") && (this.choices || this.nats !== null);
  }

  #start() {
    this.dispose();
    // The alternatives at each position, once they are known, their request, and whether it failed.
    Object.assign(this, { entries: null, loading: null, failed: false, controller: new AbortController() });
    this.element.classList.add("generating");
    this.seed.textContent = `seed ${this.origin.seed}`;
    this.unshade();
  }

  /** Abort the request for alternatives of a text that is being replaced. */
  dispose() {
    this.controller?.abort();
  }

  append(text) {
    this.text += text;
    this.tail.appendData(text);
  }

  finish() {
    this.element.classList.remove("generating");
  }

  /** Replace everything from character `index` on by another character, to generate after it with another seed. */
  replace(index, character, seed) {
    const kept = this.upTo(index) + character;
    if (index < Array.from(this.prompt).length) this.prompt = kept;
    this.text = kept.slice(this.prompt.length);
    this.kept = Array.from(this.text).length;
    this.origin = { ...this.origin, seed };
    this.#start();
  }

  /** Show plain text, the prompt in bold. */
  unshade() {
    const prompt = document.createElement("span");
    prompt.className = "prompt";
    prompt.textContent = this.prompt;
    this.tail = document.createTextNode(this.text);
    this.body.replaceChildren(prompt, this.tail);
    this.perplexity.textContent = "";
    this.nats = this.spans = null;
    if (this.choices) this.body.tabIndex = 0; // for the arrow keys
    else this.body.removeAttribute("tabindex");
  }

  /** Shade; `nats[i]` belongs to character i of prompt and text, undefined if it was not scored. */
  shade(nats) {
    this.nats = nats;
    this.spans = null;
    this.split();
    this.body.tabIndex = 0;
    const scored = nats.slice(Array.from(this.prompt).length).filter((nat) => nat !== undefined);
    const mean = scored.reduce((sum, nat) => sum + nat, 0) / scored.length;
    this.perplexity.textContent = scored.length ? `perplexity ${Math.exp(mean).toFixed(2)}` : "";
  }

  /** Make each character an element, in `spans`. */
  split() {
    if (this.spans) return;
    this.body.replaceChildren(elements(this.fullText, this.nats ?? [], Array.from(this.prompt).length));
    this.spans = [...this.body.children];
  }
}

/** Copy the text, and show the result on the button for a moment. */
export async function copyText(text, button) {
  const label = button.textContent;
  button.textContent = (await copied(text)) ? "Copied" : "Copy failed";
  setTimeout(() => (button.textContent = label), 1500);
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without https, as on a phone in the same network, browsers have no clipboard API.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    const focused = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return done;
  }
}
