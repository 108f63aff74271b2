// A forgotten password, second half: the token of the mail and a new password.

import { request } from "../api.js"
import { h } from "../dom.js"
import { field, form, heading, input, link, tell } from "../parts.js"
import { signOut, signedIn } from "../session.js"
import { missingOf } from "../sign.js"

// A link in a mail brings the token behind "#", which no server sees; it does not stay in the address bar either.
export function tokenField() {
  const found = location.hash.slice(1)
  if (found) history.replaceState(history.state, "", location.pathname)
  return field("Token", input("token", { value: found, autocomplete: "one-time-code", autocapitalize: "none", spellcheck: "false", maxlength: 128, required: true, dir: "ltr" }), { hint: found ? null : "The long word in the mail, on a line of its own." })
}

// Hands the token of a mail in, with what goes with it. Returns what to say at the fields, or null when it was taken.
export async function handIn(path, fields, more = {}) {
  const missing = missingOf(fields)
  if (missing) return missing
  try {
    await request(path, { method: "POST", body: { token: fields.token.value.trim(), ...more }, anonymous: true })
  } catch (error) {
    if (error.errors?.some(one => one.pointer === "/token")) return { token: "This token is not good, or not any more: each works once, and for a limited time." }
    throw error
  }
  return null
}

export async function page({ go }) {
  const fields = {
    token: tokenField(),
    new_password: field("New password", input("new_password", { type: "password", autocomplete: "new-password", maxlength: 128, required: true }), { hint: "At least 8 characters. A few words in a row are easy to keep in mind." }),
  }
  const { node } = form({
    fields, submit: "Set the password",
    async action() {
      const wrong = await handIn("/password-resets/confirm", fields, { new_password: fields.new_password.value })
      if (wrong) return wrong
      if (signedIn()) await signOut() // it ended just now, wherever it was
      tell("Your new password is set. Sign in with it.")
      return go("/signin")
    },
  })
  return h("div", { class: "narrow" }, heading("Choose a new password"), h("p", { class: "lead" }, "Whoever is signed in to the account now is signed out by this."), node,
    h("p", { class: "foot-line" }, "No mail came, or the token is too old? ", link("/forgotten", {}, "Have one sent"), "."))
}
