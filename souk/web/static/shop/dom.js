// Elements without markup: text is always text, so nothing that a seller writes can become a tag.

const SVG = "http://www.w3.org/2000/svg"

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue
    if (name === "on") for (const [event, hear] of Object.entries(value)) element.addEventListener(event, hear)
    else if (name === "style") for (const [rule, is] of Object.entries(value)) element.style.setProperty(rule, is)
    else if (name === "data") Object.assign(element.dataset, value)
    else if (name === "value" || name === "checked" || name === "selected") element[name] = value
    else element.setAttribute(name, value === true ? "" : value)
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false))
  return element
}

export const h = (tag, properties, ...children) => fill(document.createElement(tag), properties, children)
export const svg = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children)

const ICONS = {
  search: "M11 4a7 7 0 1 0 0 14a7 7 0 0 0 0-14M16 16l5 5",
  bag: "M5 8h14l-1 12H6zM9 8V7a3 3 0 0 1 6 0v1",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 13l4 4L19 7",
  alert: "M12 8v5M12 16.5v.5M12 3l9.5 17h-19z",
  clock: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 7v5l3 2",
  plus: "M12 5v14M5 12h14",
  tag: "M4 4h8l8 8-8 8-8-8zM8 8h.01",
  info: "M12 3a9 9 0 1 0 0 18a9 9 0 0 0 0-18M12 11v5M12 7.500v.5",
  back: "M15 5l-7 7 7 7",
  shop: "M4 10v10h16V10M3 10l2-6h14l2 6zM10 20v-6h4v6",
  filter: "M4 6h16M7 12h10M10 18h4",
  offline: "M4 4l16 16M5 11a11 11 0 0 1 4-2.500M19 11a11 11 0 0 0-6-3M8.500 14.500a6 6 0 0 1 5-1.400M12 19h.01",
}

export function icon(name, size = 20) {
  const line = { fill: "none", stroke: "currentColor", "stroke-width": 1.75, "stroke-linecap": "round", "stroke-linejoin": "round" }
  return svg("svg", { viewBox: "0 0 24 24", width: size, height: size, "aria-hidden": "true", class: "icon", ...line }, svg("path", { d: ICONS[name] }))
}

export function show(place, ...children) {
  place.replaceChildren(...children.flat(Infinity).filter(Boolean))
  return place
}

// Calls `then` with the last value once nothing came for `milliseconds`.
export function settled(milliseconds, then) {
  let timer
  return (...given) => {
    clearTimeout(timer)
    timer = setTimeout(() => then(...given), milliseconds)
  }
}
