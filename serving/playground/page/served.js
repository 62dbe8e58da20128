// Which versions the model server has, said in words and kept up to date.

import { ask } from "./wire.js";

const POLL_MILLISECONDS = 5000;

/** Follows `/about`; calls back when something changed. */
export class Served {
  constructor(line, select, changed) {
    Object.assign(this, { line, select, changed, about: null, shown: "" });
  }

  async follow() {
    await this.refresh();
    setInterval(() => document.visibilityState === "visible" && this.refresh(), POLL_MILLISECONDS);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.refresh());
  }

  /** Look again. Never throws: what went wrong is shown. */
  async refresh() {
    try {
      this.about = await ask("about");
    } catch (error) {
      this.about = { model: "", server: { state: "gone", message: error.message }, versions: [] };
    }
    const shown = JSON.stringify(this.about);
    if (shown === this.shown) return;
    this.shown = shown;
    this.#offer();
    this.describe();
    this.changed();
  }

  /** Versions that answer, newest first. */
  get available() {
    return this.about?.versions.filter((one) => one.state === "AVAILABLE") ?? [];
  }

  /** The version that is chosen, or the newest; undefined if there is none. */
  get version() {
    const chosen = this.select.value;
    return chosen ? this.available.find((one) => one.version === chosen) : this.available[0];
  }

  /** Why there is no version to ask. */
  get trouble() {
    const { server, model } = this.about ?? { server: { state: "loading", message: "" }, model: "" };
    if (server.state === "unreachable" || server.state === "gone") return server.message;
    if (this.available.length) {
      return `Version ${this.select.value} is not served any more. Choose another one, or Newest.`;
    }
    const reason = this.about?.versions.map((one) => one.message).find(Boolean) || server.message;
    return (
      `The model server answers, but has no version of “${model}” ready: it is still loading, or nothing has been pushed. ` +
      `This page looks again by itself.${reason ? ` It said: ${reason}` : ""}`
    );
  }

  /** Write what is served, and how good it is, into the line. */
  describe() {
    const version = this.version;
    this.line.replaceChildren();
    if (!version) {
      this.line.append(this.trouble);
      return;
    }
    const strong = document.createElement("strong");
    const labels = version.labels.length ? ` (${version.labels.join(", ")})` : "";
    strong.textContent = `${this.about.model}, version ${version.version}${labels}`;
    this.line.append(strong, ...facts(version.facts).map((fact) => ` · ${fact}`));
  }

  #offer() {
    const options = this.available.map((one) => {
      const labels = one.labels.length ? ` (${one.labels.join(", ")})` : "";
      const perplexity = typeof one.facts?.perplexity === "number" ? `, perplexity ${one.facts.perplexity.toFixed(2)}` : "";
      return new Option(`Version ${one.version}${labels}${perplexity}`, one.version);
    });
    const chosen = this.select.value;
    if (chosen && !this.available.some((one) => one.version === chosen)) {
      options.push(new Option(`Version ${chosen} (not served)`, chosen));
    }
    this.select.replaceChildren(new Option("Newest", ""), ...options);
    this.select.value = chosen;
  }

  /** Choose a version by number, whether it is served or not; "" is the newest. */
  choose(version) {
    if (![...this.select.options].some((option) => option.value === version)) {
      this.select.add(new Option(`Version ${version} (not served)`, version));
    }
    this.select.value = version;
  }
}

function facts(known) {
  if (!known) return [];
  const said = [];
  if (typeof known.perplexity === "number") said.push(`perplexity ${known.perplexity.toFixed(2)}`);
  if (typeof known.bits_per_character === "number") said.push(`${known.bits_per_character.toFixed(2)} bits per character`);
  if (known.corpus) said.push(`learned ${known.corpus.replace(/\/+$/, "").split("/").pop()}`);
  const date = new Date(known.pushed_at ?? "");
  if (!Number.isNaN(date.getTime())) said.push(`pushed ${date.toLocaleDateString("en-GB", { dateStyle: "medium" })}`);
  return said;
}
