// The characters of a text as elements, shaded by probability, and pure functions that describe one in a sentence.

/** Characters of one text that become elements: browsers become slow beyond this number. */
export const MAX_ELEMENTS = 20_000;

/** Lower bounds of the shades, most likely first; a character gets the first shade whose bound it reaches. */
export const BOUNDS = [0.9, 0.5, 0.2, 0.05, 0.01, 0];

export function level(probability) {
  return BOUNDS.findIndex((bound) => probability >= bound);
}

/** A probability as a percentage with three significant digits. */
export function percent(probability) {
  const value = probability * 100;
  if (!(value > 0)) return "0%";
  return `${value >= 0.001 ? Number(value.toPrecision(3)) : value.toExponential(1)}%`;
}

/** The name of a character in a sentence. */
export function name(character) {
  const names = { "\n": "line end", " ": "space", "\t": "tab", "\u00a0": "no-break space" };
  const code = `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  if (names[character]) return names[character];
  return /[\p{C}\p{Z}\p{M}]/u.test(character) ? code : `“${character}”`;
}

/** A sentence about a character; `nats` is undefined for the first of a text, which has no context. */
export function sentence(character, nats) {
  if (nats === undefined) return `${name(character)}: not scored, it has no context`;
  return `${name(character)}: ${percent(Math.exp(-nats))} likely, ${(nats / Math.LN2).toFixed(2)} bits`;
}

/** A sentence about a character that was not scored, from the most likely characters at its position. */
export function rank(character, entries) {
  const found = entries.find((one) => one.character === character);
  if (found) return `${name(character)}: ${percent(found.probability)} likely`;
  return `${name(character)}: at most ${percent(entries.at(-1).probability)} likely`;
}

/**
 * Elements for the first MAX_ELEMENTS characters (code points, not UTF-16 units) of a text, and the rest as text.
 *
 * `nats[i]` belongs to character i; the first `promptLength` characters are the prompt.
 */
export function elements(text, nats, promptLength) {
  const fragment = document.createDocumentFragment();
  const characters = Array.from(text);
  characters.slice(0, MAX_ELEMENTS).forEach((character, i) => {
    const span = document.createElement("span");
    const scored = nats[i] !== undefined;
    span.className = scored ? `character p${level(Math.exp(-nats[i]))}` : "character";
    span.classList.toggle("prompt", i < promptLength);
    span.classList.toggle("line-end", character === "\n");
    span.textContent = character;
    fragment.append(span);
  });
  fragment.append(characters.slice(MAX_ELEMENTS).join(""));
  return fragment;
}
