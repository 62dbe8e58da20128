// The versions of the model server, described on the page and kept up to date.

import { request } from "./wire.js";

const POLL_MILLISECONDS = 5000;

/** Polls `/about`; calls `changed` after a change. */
export class Served {
  constructor(line, select, changed) {
    Object.assign(this, { line, select, changed, about: null, shown: "" });
  }

  async follow() {
    await this.refresh();
    setInterval(() => document.visibilityState === "visible" && this.refresh(), POLL_MILLISECONDS);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.refresh());
  }

  /** Update the description. Never throws: a failure is shown as the description. */
  async refresh() {
    try {
      this.about = await request("about");
    } catch (error) {
      this.about = { model: "", server: { state: "playground unreachable", message: error.message }, versions: [] };
    }
    const shown = JSON.stringify(this.about);
    if (shown === this.shown) return;
    this.shown = shown;
    this.#updateOptions();
    this.describe();
    this.changed();
  }

  /** Available versions, newest first. */
  get available() {
    return this.about?.versions.filter((one) => one.state === "AVAILABLE") ?? [];
  }

  /** The selected version, or the newest; undefined if it is not available. */
  get version() {
    const chosen = this.select.value;
    return chosen ? this.available.find((one) => one.version === chosen) : this.available[0];
  }

  /** Why no version is available. */
  get problem() {
    const { server, model } = this.about ?? { server: { state: "loading", message: "" }, model: "" };
    if (server.state.endsWith("unreachable")) return server.message;
    if (this.available.length) {
      return `Version ${this.select.value} is no longer served. Choose another version, or Newest.`;
    }
    const reason = this.about?.versions.map((one) => one.message).find(Boolean) || server.message;
    return (
      `The model server responds, but no version of “${model}” is available: it is loading, or none has been pushed. ` +
      `This page checks again every few seconds.${reason ? ` The server reported: ${reason}` : ""}`
    );
  }

  /** Describe the version and its quality. */
  describe() {
    const version = this.version;
    this.line.replaceChildren();
    if (!version) {
      this.line.append(this.problem);
      return;
    }
    const strong = document.createElement("strong");
    const labels = version.labels.length ? ` (${version.labels.join(", ")})` : "";
    strong.textContent = `${this.about.model}, version ${version.version}${labels}`;
    this.line.append(strong, ...facts(version.facts).map((fact) => ` · ${fact}`));
  }

  #updateOptions() {
    const options = this.available.map((one) => {
      const labels = one.labels.length ? ` (${one.labels.join(", ")})` : "";
      const perplexity = one.facts?.perplexity;
      const quality = typeof perplexity === "number" ? `, perplexity ${perplexity.toFixed(2)}` : "";
      return new Option(`Version ${one.version}${labels}${quality}`, one.version);
    });
    const chosen = this.select.value;
    if (chosen && !this.available.some((one) => one.version === chosen)) {
      options.push(new Option(`Version ${chosen} (not served)`, chosen));
    }
    this.select.replaceChildren(new Option("Newest", ""), ...options);
    this.select.value = chosen;
  }

  /** Select a version by number, even if it is not served; "" is the newest. */
  choose(version) {
    if (![...this.select.options].some((option) => option.value === version)) {
      this.select.add(new Option(`Version ${version} (not served)`, version));
    }
    this.select.value = version;
  }
}

function facts(entry) {
  if (!entry) return [];
  const found = [];
  const { perplexity, bits_per_character: bits } = entry;
  if (typeof perplexity === "number") found.push(`perplexity ${perplexity.toFixed(2)}`);
  if (typeof bits === "number") found.push(`${bits.toFixed(2)} bits per character`);
  if (entry.corpus) found.push(`trained on ${entry.corpus.replace(/\/+$/, "").split("/").pop()}`);
  const date = new Date(entry.pushed_at ?? "");
  if (!Number.isNaN(date.getTime())) found.push(`pushed ${date.toLocaleDateString("en-US", { dateStyle: "medium" })}`);
  return found;
}
