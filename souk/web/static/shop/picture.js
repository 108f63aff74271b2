// A picture for what has none: tiles like those of a bazaar wall. The title says how they lie, the tags their colours,
// so that the same product always looks the same and related ones look related.

import { h, svg } from "./dom.js"

// background, then three inks
const PALETTES = [
  ["#e9dfcf", "#b5533c", "#2f5d62", "#dba858"], ["#dfe6e3", "#2c5f5d", "#c98b5b", "#8fb0a9"],
  ["#ece3dc", "#6b4a3a", "#c7a27c", "#98503d"], ["#e3e6ee", "#3c4f76", "#d1beb0", "#7f9bc4"],
  ["#e8e6d8", "#5b6b3a", "#c9b458", "#8a9a5b"], ["#efe0dc", "#8c3b4a", "#e0a899", "#543e52"],
  ["#e0e8ea", "#1f5673", "#e0a458", "#90b8c8"], ["#eae3ec", "#5c4b7d", "#c8a2c0", "#e0b15c"],
  ["#e6e4df", "#3d3a36", "#b88b4a", "#8d8a82"], ["#f0e6d2", "#a8612d", "#507a6b", "#e2b866"],
]

// FNV-1a, then xorshift: small, and the same in every browser.
function seedOf(text) {
  let hash = 2166136261
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 16777619)
  return hash >>> 0 || 1
}

function* numbers(seed) {
  for (let state = seed; ;) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    yield state >>> 0
  }
}

// Shapes in a cell of one unit, as path data relative to its corner.
const SHAPES = [
  (x, y) => `M${x} ${y}h1a1 1 0 0 1-1 1z`,
  (x, y) => `M${x + 1} ${y}v1h-1a1 1 0 0 1 1-1z`,
  (x, y) => `M${x + 0.5} ${y}l.5 .5-.5 .5-.5-.5z`,
  (x, y) => `M${x} ${y}h1l-1 1z`,
  (x, y) => `M${x + 0.5} ${y + 0.2}a.3 .3 0 1 1 0 .6a.3 .3 0 1 1 0-.6z`,
  (x, y) => `M${x} ${y}h1v.5h-1z`,
  (x, y) => `M${x} ${y}h.5a.5 .5 0 0 1 0 1h-.5z`,
]
const QUADRANT = 3

export function generated(title, tags = []) {
  const [background, ...inks] = PALETTES[seedOf(tags.length ? [...tags].sort().join(" ") : title) % PALETTES.length]
  const random = numbers(seedOf(title))
  for (let warm = 0; warm < 8; warm++) random.next()
  const drawn = inks.map(() => "")
  for (let y = 0; y < QUADRANT; y++) {
    for (let x = 0; x < QUADRANT; x++) {
      const one = random.next().value
      drawn[(one >>> 4) % inks.length] += SHAPES[(one >>> 9) % SHAPES.length](x, y)
      if ((one >>> 14) % 3 === 0) drawn[(one >>> 17) % inks.length] += SHAPES[4](x, y)
    }
  }
  // One quarter, mirrored both ways: the rosette. The thin stroke closes the hair lines between its parts.
  const turns = ["", "translate(6 0) scale(-1 1)", "translate(0 6) scale(1 -1)", "translate(6 6) scale(-1 -1)"]
  const quarters = turns.map(turn => svg("g", { transform: turn || null }, inks.map((ink, at) => svg("path", { d: drawn[at], fill: ink, stroke: ink, "stroke-width": 0.02 }))))
  return svg("svg", { viewBox: "0 0 6 6", "aria-hidden": "true", class: "picture", preserveAspectRatio: "xMidYMid slice" }, svg("rect", { width: 6, height: 6, fill: background }), quarters)
}

// The product's own picture; the generated one where there is none or it does not load.
export function pictureOf({ title, tags, images }, { at = 0, eager = false } = {}) {
  const image = images?.[at]
  if (!image) return generated(title, tags)
  const shown = h("img", { class: "picture", src: image.url, alt: image.alt || "", loading: eager ? "eager" : "lazy", decoding: "async", referrerpolicy: "no-referrer" })
  shown.addEventListener("error", () => shown.replaceWith(generated(title, tags)), { once: true })
  return shown
}
