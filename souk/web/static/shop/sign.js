// Signing in and registering: as a page, and as a box over whatever a person was doing when the session ended.

import { Problem, get, onSessionEnded, request } from "./api.js"
import { h, show } from "./dom.js"
import { button, field, form, input, link, notice } from "./parts.js"
import { lastUserId, setUser, signIn, signedIn, user } from "./session.js"

export async function loadUser() {
  if (signedIn()) setUser(await get("/me"))
  return user()
}

export function signInForm(then, foot = []) {
  const fields = {
    username: field("User name", input("username", { autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true })),
    password: field("Password", input("password", { type: "password", autocomplete: "current-password", required: true })),
  }
  return form({
    fields, submit: "Sign in", foot,
    async action(said) {
      const missing = missingOf(fields)
      if (missing) return missing
      const { refused, status, retry } = await signIn(fields.username.value.trim(), fields.password.value)
      if (refused) {
        show(said, notice("bad", status === 429 ? `Too many tries. Please wait ${retry} seconds.` : status < 500 ? "User name and password do not fit together." : refused))
        fields.password.control.select()
        return null
      }
      await loadUser()
      return then()
    },
  })
}

// The fields that must be filled in and are not, with what to say of them; null when there is none.
export const missingOf = fields => {
  const missing = Object.entries(fields).filter(([, one]) => one.control.required && !one.value.trim())
  return missing.length ? Object.fromEntries(missing.map(([name]) => [name, "Please fill this in."])) : null
}

export function registerForm(then, foot = []) {
  const fields = {
    username: field("User name", input("username", { autocomplete: "username", autocapitalize: "none", spellcheck: "false", maxlength: 32, required: true }), { hint: "3 to 32 letters, digits, dots, hyphens or underscores. It cannot be changed later." }),
    display_name: field("Name of your store (if you like)", input("display_name", { autocomplete: "nickname", maxlength: 100 }), { hint: "What others see. You can change it at any time." }),
    email: field("E-mail (if you like)", input("email", { type: "email", autocomplete: "email", maxlength: 254, dir: "ltr" }), { hint: "For a forgotten password. Never shown to others." }),
    password: field("Password", input("password", { type: "password", autocomplete: "new-password", maxlength: 128, required: true }), { hint: "At least 8 characters. A few words in a row are easy to keep in mind." }),
  }
  return form({
    fields, submit: "Create account", foot,
    async action() {
      const missing = missingOf(fields)
      if (missing) return missing
      const username = fields.username.value.trim()
      const more = ["display_name", "email"].map(name => [name, fields[name].value.trim()]).filter(([, text]) => text)
      const body = { username, password: fields.password.value, ...Object.fromEntries(more) }
      try {
        await request("/users", { method: "POST", body, anonymous: true })
      } catch (error) {
        if (error instanceof Problem && error.code === "username_taken") return { username: "This name is taken. Please choose another." }
        throw error
      }
      await signIn(username, fields.password.value)
      await loadUser()
      return then()
    },
  })
}

let asking = null
// A box to sign in, or to register, without leaving the page. Resolves to whether somebody is signed in now.
export function signInBox(title, text) {
  asking ??= new Promise(done => {
    const before = lastUserId()
    let found = false
    const then = () => {
      found = true
      box.close()
      // Another person's page must not stay open under this one's name.
      if (before && lastUserId() !== before) location.assign("/")
    }
    const later = () => [button("Not now", () => box.close(), { class: "button quiet" })]
    const register = () => {
      show(box, h("h2", { id: "sign-title" }, "Create an account"), h("p", {}, "One account to buy and to sell."), registerForm(then, later()).node)
      box.querySelector("input").focus()
    }
    const box = h("dialog", { class: "dialog", "aria-labelledby": "sign-title" },
      h("h2", { id: "sign-title" }, title), h("p", {}, text), signInForm(then, later()).node,
      h("p", { class: "foot-line" }, !before && ["New here? ", button("Create an account", register, { class: "plain" }), " "], link("/forgotten", { on: { click: () => box.close() } }, "Forgotten your password?")))
    box.addEventListener("close", () => { box.remove(); asking = null; done(found) })
    document.body.append(box)
    box.showModal()
  })
  return asking
}

// For what needs an account: true at once when signed in.
export const needUser = what => (signedIn() ? Promise.resolve(true) : signInBox("Sign in", what))

onSessionEnded(() => signInBox("Your session has ended", "Sign in again to go on. What you have typed is still here."))
