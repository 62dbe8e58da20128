// The versions of the model server, described on the page and kept up to date.

import { request } from "./wire.js";

const POLL_MILLISECONDS = 5000;

/** Polls `/about`, lists the versions in `selects`, of which the first is described; calls `changed` after a change. */
export class Served {
  constructor(line, selects, changed) {
    Object.assign(this, { line, selects, changed, about: null, shown: "" });
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
    for (const select of this.selects) this.#updateOptions(select);
    this.describe();
    this.changed();
  }

  /** Available versions, newest first. */
  get available() {
    return this.about?.versions.filter((one) => one.state === "AVAILABLE") ?? [];
  }

  /** The version of the first control; undefined if it is not available. */
  get version() {
    return this.find(this.selects[0].value);
  }

  /** A version by number, "" is the newest; undefined if it is not available. */
  find(chosen) {
    return chosen ? this.available.find((one) => one.version === chosen) : this.available[0];
  }

  /** Why a version is not available. */
  problem(chosen) {
    const { server, model } = this.about ?? { server: { state: "loading", message: "" }, model: "" };
    if (server.state.endsWith("unreachable")) return server.message;
    if (this.available.length) {
      return `Version ${chosen} is no longer served. Choose another version, or Newest.`;
    }
    const reason = this.about?.versions.map((one) => one.message).find(Boolean) || server.message;
    return (
      `The model server responds, but no version of “${model}” is available: it is loading, or none has been ` +
      `pushed. This page checks again every few seconds.${reason ? ` The server reported: ${reason}` : ""}`
    );
  }

  /** Describe the version and its quality. */
  describe() {
    const version = this.version;
    this.line.replaceChildren();
    if (!version) {
      this.line.append(this.problem(this.selects[0].value));
      return;
    }
    const strong = document.createElement("strong");
    const labels = version.labels.length ? ` (${version.labels.join(", ")})` : "";
    strong.textContent = `${this.about.model}, version ${version.version}${labels}`;
    this.line.append(strong, ...facts(version.facts).map((fact) => ` · ${fact}`));
    if (version.card) this.line.append(" · ", cardLink(version.version));
  }

  #updateOptions(select) {
    const options = this.available.map((one) => {
      const labels = one.labels.length ? ` (${one.labels.join(", ")})` : "";
      const perplexity = one.facts?.perplexity;
      const quality = typeof perplexity === "number" ? `, perplexity ${perplexity.toFixed(2)}` : "";
      return new Option(`Version ${one.version}${labels}${quality}`, one.version);
    });
    const chosen = select.value;
    if (chosen && !this.available.some((one) => one.version === chosen)) {
      options.push(new Option(`Version ${chosen} (not served)`, chosen));
    }
    select.replaceChildren(new Option("Newest", ""), ...options);
    select.value = chosen;
  }

  /** Select a version by number, even if it is not served; "" is the newest. */
  choose(select, version) {
    if (![...select.options].some((option) => option.value === version)) {
      select.add(new Option(`Version ${version} (not served)`, version));
    }
    select.value = version;
  }
}

function cardLink(version) {
  const link = document.createElement("a");
  Object.assign(link, { href: `card/${version}`, target: "_blank", rel: "noopener", textContent: "model card" });
  return link;
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
