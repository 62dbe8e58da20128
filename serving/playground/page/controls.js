// The form: texts of its controls, defaults and limits of the export, and the control that a comparison changes.

import { COMPARABLE, fromHash, NAMES, newSeed } from "./values.js";

export const MAX_CHARS = 100_000; // for an export that states no limit
// Until those of the export are known.
const DEFAULTS = { temperature: "0.8", top_k: "0", length: "300", samples: "1" };
// Values that change nothing, of the controls that older exports do not have.
const OFF = { top_p: "1", repetition_penalty: "1", stop_text: "" };
const MISSING = "Not in this version: its export is older.";

const $ = (id) => document.getElementById(id);

/** The form `#controls`; `served` lists the versions in its selects. */
export class Controls {
  #unchanged = new Set(Object.keys(DEFAULTS)); // controls that follow the defaults of the export
  #hints = Object.fromEntries(Object.keys(OFF).map((key) => [key, $(`${key}-hint`).textContent]));

  constructor(served) {
    this.served = served;
    this.fill({ ...DEFAULTS, ...OFF, seed: String(newSeed()) });
    $("new-seed").checked = true;
    this.openLink();
    const follow = (from, to) => $(from).addEventListener("input", () => ($(to).value = $(from).value));
    follow("temperature", "temperature-slider");
    follow("temperature-slider", "temperature");
    $("seed").addEventListener("input", () => ($("new-seed").checked = false));
    $("controls").addEventListener("input", ({ target }) => this.#unchanged.delete(target.id.replace("-slider", "")));
    $("compare").addEventListener("change", () => {
      const { compare } = this.texts();
      $("compare_value").value = COMPARABLE[compare]?.value ?? "";
      $("compare_version").value = "";
      if (compare === "version") this.#chooseOther();
      this.#showComparison();
    });
    addEventListener("hashchange", () => this.openLink());
  }

  /** Texts by name of control; a disabled control has the value that changes nothing. */
  texts() {
    return Object.fromEntries(NAMES.map((key) => [key, $(key).disabled ? OFF[key] : $(key).value]));
  }

  /** Fill the controls that the link of the page names. */
  openLink() {
    const given = fromHash(location.hash);
    this.fill(given);
    for (const key of Object.keys(given)) this.#unchanged.delete(key);
  }

  fill(values) {
    for (const [key, value] of Object.entries(values)) {
      if (key.endsWith("version")) this.served.choose($(key), value);
      else $(key).value = value;
    }
    if (values.seed) $("new-seed").checked = false; // a given seed must repeat its text
    $("temperature-slider").value = $("temperature").value;
    if (!$("compare").value) $("compare").value = ""; // an unknown name in a link
    this.#showComparison();
  }

  /** Apply the limits of an export, and its defaults to the controls that the user has not changed. */
  applyLimits(limits) {
    $("length").max = limits?.max_chars ?? MAX_CHARS;
    const defaults = { temperature: limits?.temperature, top_k: limits?.top_k, length: limits?.num_chars };
    for (const [key, value] of Object.entries(defaults)) {
      if (value !== undefined && this.#unchanged.delete(key)) this.fill({ [key]: String(value) });
    }
  }

  /** Enable the controls that only exports with the signature `sample_from_state` have. */
  enable(hasSample) {
    for (const key of Object.keys(OFF)) {
      $(key).disabled = !hasSample;
      $(`${key}-hint`).textContent = hasSample ? this.#hints[key] : MISSING;
    }
  }

  #showComparison() {
    const key = $("compare").value;
    $("compare_value-field").hidden = !key || key === "version";
    $("compare_version-field").hidden = key !== "version";
    const name = COMPARABLE[key]?.name ?? "value";
    $("compare_value-label").textContent = `${name[0].toUpperCase()}${name.slice(1)} of the second column`;
  }

  /** Compare with another version than the selected one. */
  #chooseOther() {
    const first = this.served.version?.version;
    const other = this.served.available.find((one) => one.version !== first);
    if (other) this.served.choose($("compare_version"), other.version);
  }
}
