// Money, moments and numbers as people read them.

const LANGUAGE = "en-GB"
const moneys = new Map()

function formatOf(currency) {
  if (!moneys.has(currency)) moneys.set(currency, new Intl.NumberFormat(LANGUAGE, { style: "currency", currency, currencyDisplay: "narrowSymbol" }))
  return moneys.get(currency)
}

export const digitsOf = currency => formatOf(currency).resolvedOptions().maximumFractionDigits
export const money = ({ amount, currency }) => formatOf(currency).format(amount / 10 ** digitsOf(currency))

// "12.50" or "12,50" to 1250 minor units; null for what is no amount. Works on digits, never on fractions.
export function minorUnits(text, currency) {
  const found = /^(\d{1,13})(?:[.,](\d*))?$/.exec(text.trim().replace(/[\s'’]/g, ""))
  const digits = digitsOf(currency)
  const fraction = found?.[2]?.replace(/0+$/, "") ?? ""
  if (!found || fraction.length > digits) return null
  const amount = Number(found[1] + fraction.padEnd(digits, "0"))
  return amount <= 1e12 ? amount : null
}

export function majorUnits({ amount, currency }) {
  const digits = digitsOf(currency)
  const text = String(amount).padStart(digits + 1, "0")
  return digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text
}

const moments = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" })
const clocks = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", second: "2-digit" })
const counts = new Intl.NumberFormat(LANGUAGE)

export const moment = text => moments.format(new Date(text))
export const clock = text => clocks.format(new Date(text))
export const count = number => counts.format(number)
export const many = (number, one, more = `${one}s`) => `${counts.format(number)} ${number === 1 ? one : more}`

export function leftOf(milliseconds) {
  const seconds = Math.max(0, Math.ceil(milliseconds / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}

export const nameOf = person => person.display_name || person.username

export const STATES = {
  PENDING_CONFIRMATION: ["Waiting for payment", "warn"], CONFIRMED: ["Payment under way", "warn"],
  ACCEPTED: ["Accepted", "good"], NOT_CONFIRMED: ["Not paid", "quiet"], CANCELLED: ["Cancelled", "quiet"],
  DRAFT: ["Draft", "quiet"], ACTIVE: ["On sale", "good"], ARCHIVED: ["Archived", "quiet"],
}
