// One's own account: how others see the store, the password, and closing it all.

import { request } from "../api.js"
import { field, form, heading, input, link, notice, sure, tell } from "../parts.js"
import { h, show } from "../dom.js"
import { setUser, signIn, signOut } from "../session.js"
import { loadUser, missingOf } from "../sign.js"

const secret = (name, label, how, hint) => field(label, input(name, { type: "password", autocomplete: how, maxlength: 128, required: true }), { hint })

function profile(me) {
  const address = me.email ? (me.email_verified ? " Confirmed." : " Not confirmed yet.") : ""
  const fields = {
    display_name: field("Name of your store", input("display_name", { value: me.display_name, maxlength: 100 })),
    bio: field("About you", h("textarea", { name: "bio", rows: 5, maxlength: 2000, dir: "auto", value: me.bio })),
    email: field("E-mail", input("email", { type: "email", value: me.email ?? "", autocomplete: "email", dir: "ltr" }), { hint: `Never shown to others. For a forgotten password.${address}` }),
  }
  if (me.email && !me.email_verified) fields.email.node.append(link("/verify", {}, "Enter the token of the mail"))
  let known = me.email ?? null
  return form({
    fields, submit: "Save",
    async action(said) {
      const body = { display_name: fields.display_name.value.trim(), bio: fields.bio.value.trim(), email: fields.email.value.trim() || null }
      if (body.email === known) delete body.email
      const { data } = await request("/me", { method: "PATCH", body })
      setUser(data)
      const asked = data.email && data.email !== known && !data.email_verified
      known = data.email ?? null
      show(said, notice("good", "Saved.", asked && h("p", {}, `A mail is on its way to ${data.email}. `, link("/verify", { class: "strong" }, "Confirm the address"))))
    },
  }).node
}

function password(me) {
  const fields = {
    current_password: secret("current_password", "Present password", "current-password"),
    new_password: secret("new_password", "New password", "new-password", "At least 8 characters. A few words in a row are easy to keep in mind."),
  }
  return form({
    fields, submit: "Change the password",
    async action(said) {
      const missing = missingOf(fields)
      if (missing) return missing
      const [before, after] = [fields.current_password.value, fields.new_password.value]
      await request("/me/password", { method: "POST", body: { current_password: before, new_password: after } })
      // Every token of the account ended with it, this page's too.
      const { refused } = await signIn(me.username, after)
      if (!refused) await loadUser()
      for (const one of Object.values(fields)) one.control.value = ""
      show(said, notice("good", refused ? "Your password is changed. Please sign in again." : "Your password is changed. Everybody else who was signed in to your account is signed out."))
      return null
    },
  }).node
}

function closing(go) {
  const fields = { password: secret("password", "Password", "current-password") }
  return form({
    fields, submit: "Close the account", tone: "closing",
    async action() {
      const missing = missingOf(fields)
      if (missing) return missing
      if (!(await sure("Close your account?", "Your products leave the market at once and your name is not given out again. Orders that were placed stand. This cannot be taken back.", "Close it"))) return null
      await request("/me/delete", { method: "POST", body: { password: fields.password.value } })
      await signOut()
      tell("Your account is closed.")
      return go("/")
    },
  }).node
}

export async function page({ signal, go }) {
  const { data: me } = await request("/me", { signal })
  return h("div", { class: "narrow account" }, heading("Your account"), h("p", { class: "lead" }, `Signed in as ${me.username}. `, link(`/u/${me.id}`, {}, "See your store"), "."), profile(me),
    h("details", {}, h("summary", {}, "Change your password"), password(me)),
    h("details", {}, h("summary", {}, "Close your account"), h("p", { class: "hint" }, "What you sell leaves the market, and your name, text and address are forgotten."), closing(go)))
}
