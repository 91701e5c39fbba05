/**
 * Who one is: a name and a colour. What others send as theirs is hostile until it went through
 * `nameOf` and `colorOf`.
 */

/** A member as the others see them. */
export interface Identity {
  name: string;
  color: string;
}

/** Colours that carry white text with a contrast of at least 4.5. */
export const PALETTE = [
  "#b3261e", "#9a4600", "#7a5900", "#3f6b00", "#00695c",
  "#00668a", "#1d5fc4", "#5b4bc4", "#8e3aa8", "#b0246b",
] as const;

const NAME_KEY = "edgeroom.name";
const NAME_LENGTH = 40;
const ADJECTIVES = ["Amber", "Brisk", "Calm", "Clever", "Eager", "Gentle", "Jolly", "Keen", "Lucky", "Quiet", "Swift", "Witty"];
const ANIMALS = ["Badger", "Curlew", "Dolphin", "Falcon", "Heron", "Lynx", "Marten", "Otter", "Puffin", "Robin", "Stoat", "Wren"];

/** A name fit to be shown: one line, no control or direction characters, bounded; or "Anonymous". */
export function nameOf(value: unknown): string {
  if (typeof value !== "string") return "Anonymous";
  const visible = value.slice(0, 400).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "").trim();
  return [...visible].slice(0, NAME_LENGTH).join("") || "Anonymous";
}

/** The colour itself if it is `#rrggbb`, else one of the palette chosen by `seed`. */
export function colorOf(value: unknown, seed: string | number): string {
  if (typeof value === "string" && /^#[0-9a-f]{6}$/i.test(value)) return value.toLowerCase();
  let hash = 0;
  for (const character of String(seed)) hash = (hash * 31 + (character.codePointAt(0) ?? 0)) >>> 0;
  return PALETTE[hash % PALETTE.length] ?? PALETTE[0];
}

/** Black or white, whichever reads better on a `#rrggbb` background. */
export function inkOn(color: string): "#000000" | "#ffffff" {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5]
    .map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return luminance > 0.179 ? "#000000" : "#ffffff";
}

/** At most two letters that stand for a name. */
export function initialsOf(name: string): string {
  const words = name.split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => [...(word ?? "")][0] ?? "").join("").toUpperCase();
}

/** The name that this browser remembers, or a friendly made-up one. */
export function rememberedName(): string {
  try {
    const kept = localStorage.getItem(NAME_KEY);
    if (kept) return nameOf(kept);
  } catch {
    // Storage may be forbidden; a name for this visit does as well.
  }
  const pick = (words: string[]) => words[Math.floor(Math.random() * words.length)];
  return `${pick(ADJECTIVES)} ${pick(ANIMALS)}`;
}

/** Keeps the name for the next visit, where the browser allows it. */
export function rememberName(name: string): void {
  try {
    localStorage.setItem(NAME_KEY, nameOf(name));
  } catch {
    // See above.
  }
}

/** A colour for this visit. */
export function randomColor(): string {
  return PALETTE[Math.floor(Math.random() * PALETTE.length)] ?? PALETTE[0];
}
