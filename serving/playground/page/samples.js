// The generated texts on the page, which grow during generation and can be shaded.

import { elements, sentence } from "./shade.js";

/** One text, its heading and its Copy button. */
export class Sample {
  constructor(number, seed, prompt) {
    Object.assign(this, { prompt, text: "", nats: null, current: null });
    this.element = document.createElement("article");
    this.element.className = "sample generating";
    const header = document.createElement("header");
    const heading = document.createElement("h2");
    heading.textContent = `Sample ${number}`;
    heading.id = `sample-${number}`;
    this.element.setAttribute("aria-labelledby", heading.id);
    const facts = document.createElement("div");
    facts.className = "facts";
    this.perplexity = document.createElement("span");
    facts.append(`seed ${seed}`, this.perplexity);
    const copy = document.createElement("button");
    copy.type = "button";
    copy.className = "small";
    copy.textContent = "Copy";
    copy.setAttribute("aria-label", `Copy sample ${number}`);
    copy.addEventListener("click", () => copyText(this.fullText, copy));
    header.append(heading, facts, copy);
    this.body = document.createElement("div");
    this.body.className = "text";
    this.body.setAttribute("role", "group");
    this.body.setAttribute("aria-labelledby", heading.id);
    this.element.append(header, this.body);
    this.unshade();
  }

  /** Prompt and generated text. */
  get fullText() {
    return this.prompt + this.text;
  }

  append(text) {
    this.text += text;
    this.tail.appendData(text);
  }

  finish() {
    this.element.classList.remove("generating");
  }

  /** Show plain text, the prompt in bold. */
  unshade() {
    const prompt = document.createElement("span");
    prompt.className = "prompt";
    prompt.textContent = this.prompt;
    this.tail = document.createTextNode(this.text);
    this.body.replaceChildren(prompt, this.tail);
    this.body.removeAttribute("tabindex");
    this.perplexity.textContent = "";
    this.nats = this.current = null;
  }

  /** Shade; `nats[i]` belongs to character i of prompt and text, undefined if it was not scored. */
  shade(nats) {
    const promptLength = Array.from(this.prompt).length;
    this.nats = nats;
    this.body.replaceChildren(elements(this.fullText, nats, promptLength));
    this.body.tabIndex = 0; // for the arrow keys
    this.current = null;
    const scored = nats.slice(promptLength).filter((nat) => nat !== undefined);
    const mean = scored.reduce((sum, nat) => sum + nat, 0) / scored.length;
    this.perplexity.textContent = scored.length ? `perplexity ${Math.exp(mean).toFixed(2)}` : "";
  }

  /** Show the probability of the character in `span`. */
  describe(span, readout) {
    const i = [...this.body.children].indexOf(span);
    if (this.nats === null || i < 0) return;
    readout.textContent = `Character ${i + 1}, ${sentence(span.textContent, this.nats[i])}`;
  }

  /** Select a character. */
  select(span, readout) {
    if (this.nats === null || !span) return;
    this.current?.classList.remove("current");
    this.current = span;
    span.classList.add("current");
    span.scrollIntoView({ block: "nearest" });
    this.describe(span, readout);
  }

  /** Handle pointer and arrow keys. */
  listen(readout) {
    const character = (event) => event.target.closest(".character");
    this.body.addEventListener("pointerover", (event) => character(event) && this.describe(character(event), readout));
    this.body.addEventListener("click", (event) => this.select(character(event), readout));
    this.body.addEventListener("keydown", (event) => {
      const { firstElementChild: first, lastElementChild: last } = this.body;
      const next = {
        ArrowRight: this.current?.nextElementSibling ?? this.current ?? first,
        ArrowLeft: this.current?.previousElementSibling ?? first,
        Home: first,
        End: last,
      }[event.key];
      if (this.nats === null || !next || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      event.preventDefault();
      this.select(next, readout);
    });
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
