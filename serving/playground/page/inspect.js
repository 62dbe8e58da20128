// What the page shows about one character: its probability, and the most likely alternatives. One can be taken.

import { name, percent, rank, sentence } from "./shade.js";
import { Problem } from "./wire.js";

const REST_MILLISECONDS = 120; // a pointer on its way to the list crosses other characters

/** The character before or after `index` on the line above (step -1) or below (1), at about the same position. */
export function vertical(spans, index, step) {
  const { offsetTop: top, offsetLeft: left } = spans[index];
  let i = index;
  while (spans[i + step] && spans[i].offsetTop === top) i += step;
  const line = spans[i].offsetTop;
  if (line === top) return index;
  while (spans[i + step]?.offsetTop === line && step * (left - spans[i].offsetLeft) > 0) i += step;
  return i;
}

/** Follows pointer and keys over the characters of the samples. */
export class Inspector {
  /**
   * `find(element)` returns the sample that an element is part of, `load(sample)` requests the alternatives at each
   * position, and `take(sample, index, character)` continues the sample with another character.
   */
  constructor(list, readout, { find, load, take }) {
    Object.assign(this, { list, readout, find, load, take, sample: null, index: -1, timer: 0, pinned: false, turn: 0 });
    this.popup = document.createElement("div");
    this.popup.className = "alternatives";
    this.popup.setAttribute("role", "group");
    this.popup.setAttribute("aria-label", "Most likely characters here");
    // Not pointerover, which also happens when the text scrolls below a pointer at rest.
    list.addEventListener("pointermove", (event) => event.pointerType !== "touch" && this.#hover(event));
    list.addEventListener("pointerleave", () => {
      clearTimeout(this.timer);
      if (!this.pinned) this.close();
    });
    list.addEventListener("click", (event) => this.#click(event));
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !this.sample?.element.contains(event.relatedTarget)) this.close();
    });
    document.addEventListener("pointerdown", (event) => list.contains(event.target) || this.close());
  }

  /** Hide the list. The arrow keys continue from the same character. */
  close() {
    clearTimeout(this.timer);
    this.sample?.spans?.[this.index]?.classList.remove("current");
    this.popup.remove();
    this.pinned = false;
    this.turn++; // a response that is still to come is not shown
  }

  /** The sample and the index of the character below the pointer; undefined on other places. */
  #at(event) {
    const sample = this.find(event.target);
    if (!sample?.inspectable || !sample.body.contains(event.target)) return undefined;
    sample.split();
    const index = sample.spans.indexOf(document.elementFromPoint(event.clientX, event.clientY));
    return index < 0 ? undefined : { sample, index };
  }

  #hover(event) {
    clearTimeout(this.timer);
    if (this.popup.contains(event.target) || event.buttons) return; // a pressed button selects text
    const place = this.#at(event);
    if (!place || (this.popup.isConnected && place.sample === this.sample && place.index === this.index)) return;
    this.timer = setTimeout(() => this.open(place.sample, place.index, this.pinned), REST_MILLISECONDS);
  }

  #click(event) {
    const button = event.target.closest(".alternatives button");
    if (button) {
      this.#choose([...this.popup.querySelectorAll("button")].indexOf(button));
      return;
    }
    const place = getSelection().isCollapsed && this.#at(event);
    if (place) {
      this.open(place.sample, place.index, true);
      place.sample.body.focus({ preventScroll: true });
    } else if (!this.popup.contains(event.target)) {
      this.close();
    }
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const sample = this.find(event.target);
    const buttons = this.popup.isConnected ? [...this.popup.querySelectorAll("button")] : [];
    const inPopup = this.popup.contains(event.target);
    if (!sample?.inspectable || !(inPopup || event.target === sample.body)) return;
    if (event.key === "Escape" && this.popup.isConnected) {
      sample.body.focus({ preventScroll: true });
      this.close();
      event.stopPropagation(); // elsewhere it stops generation
    } else if (/^[1-9]$/.test(event.key) && buttons[event.key - 1]) {
      this.#choose(event.key - 1);
    } else if (inPopup) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      buttons.at((buttons.indexOf(event.target) + step) % buttons.length).focus();
    } else if (event.key === "Enter" && buttons.length) {
      buttons[0].focus({ preventScroll: true });
    } else if (!this.#move(sample, event.key)) {
      return;
    }
    event.preventDefault();
  }

  #move(sample, key) {
    if (!/^(Arrow(Left|Right|Up|Down)|Home|End)$/.test(key)) return false;
    sample.split();
    const { spans } = sample;
    const last = spans.length - 1;
    if (last < 0) return false;
    const now = this.sample === sample ? Math.min(this.index, last) : -1;
    const next = {
      ArrowRight: () => Math.min(now + 1, last),
      ArrowLeft: () => Math.max(now - 1, 0),
      ArrowDown: () => (now < 0 ? 0 : vertical(spans, now, 1)),
      ArrowUp: () => (now < 0 ? 0 : vertical(spans, now, -1)),
      Home: () => 0,
      End: () => last,
    }[key]();
    spans[next].scrollIntoView({ block: "nearest" });
    this.open(sample, next, true);
    return true;
  }

  /** Show a character's probability and alternatives; `pinned` keeps them when the pointer leaves. */
  async open(sample, index, pinned) {
    this.close();
    Object.assign(this, { sample, index, pinned });
    sample.spans[index].classList.add("current");
    const { turn } = this;
    try {
      if (sample.choices && !sample.entries) {
        this.#describe([], "Loading the alternatives…");
        await this.#load(sample, pinned);
      }
      if (this.turn === turn) this.#describe(sample.entries?.[index] ?? []);
    } catch (error) {
      if (error.name === "AbortError") return; // the text has been replaced
      if (!(error instanceof Problem)) throw error;
      if (this.turn === turn) this.#describe([], error.message);
    }
  }

  /** Request the alternatives of a sample once; after a failure again only if the user asks for them, not on hover. */
  async #load(sample, retry) {
    if (retry && sample.failed) sample.loading = null;
    if (!sample.loading) {
      sample.failed = false;
      sample.loading = this.load(sample);
    }
    const { loading } = sample;
    try {
      const entries = await loading;
      if (sample.loading === loading) sample.entries = entries;
    } catch (error) {
      if (sample.loading === loading) sample.failed = true;
      throw error;
    }
  }

  #describe(entries, message = "") {
    const { sample, index } = this;
    const span = sample.spans[index];
    const character = span.textContent;
    const nats = sample.nats?.[index];
    const isRanked = nats === undefined && entries.length > 0; // only scores are exact for rare characters
    const text = message || (isRanked ? rank(character, entries) : sentence(character, nats));
    this.readout.textContent = message || `Character ${index + 1}, ${text}`;
    if (!sample.choices) return;
    const caption = document.createElement("p");
    caption.textContent = text;
    this.popup.replaceChildren(caption, ...entries.map((entry, i) => choice(entry, i, character)));
    sample.element.append(this.popup);
    if (entries.length) {
      const spoken = document.createElement("span"); // the list itself is read only when it has the focus
      spoken.className = "spoken";
      const names = entries.map((one, i) => `${i + 1}: ${name(one.character)} ${percent(one.probability)}`);
      spoken.textContent = ` Alternatives: ${names.join(", ")}. A digit takes one, Enter moves to the list.`;
      this.readout.append(spoken);
    }
    this.#place(span);
  }

  /** Put the list below the character, or above it where the window ends. */
  #place(span) {
    const box = this.sample.element.getBoundingClientRect();
    const [line] = span.getClientRects();
    const bar = document.querySelector(".actions"); // at the bottom of the window on a phone
    const bottom = getComputedStyle(bar).position === "fixed" ? bar.getBoundingClientRect().top : innerHeight;
    const { offsetWidth: width, offsetHeight: height } = this.popup;
    const above = line.bottom + height > bottom && line.top - height > 0;
    const left = Math.max(4, Math.min(line.left - box.left, box.width - width - 4));
    this.popup.style.left = `${left}px`;
    this.popup.style.top = `${(above ? line.top - height : line.bottom) - box.top}px`;
  }

  #choose(i) {
    const { sample, index } = this;
    const { character } = sample.entries[index][i];
    sample.body.focus({ preventScroll: true });
    this.close();
    this.take(sample, index, character);
  }
}

function choice({ character, probability }, i, current) {
  const button = document.createElement("button");
  button.type = "button";
  button.style.setProperty("--share", probability);
  const parts = [String(i + 1), name(character), percent(probability)].map((text) => {
    const part = document.createElement("span");
    part.textContent = text;
    return part;
  });
  button.append(...parts);
  button.setAttribute("aria-label", `Continue with ${name(character)}, ${percent(probability)} likely`);
  if (character === current) button.setAttribute("aria-current", "true");
  return button;
}
