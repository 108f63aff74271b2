import { heading, link } from "../parts.js"
import { h } from "../dom.js"
import { signedIn } from "../session.js"
import { signInForm } from "../sign.js"

// Only an address of our own may be where one goes on.
export const nextOf = query => (/^\/(?![/\\])/.test(query.get("next") ?? "") ? query.get("next") : "/")

export async function page({ query, go }) {
  if (signedIn()) return go(nextOf(query), { replace: true })
  const { node } = signInForm(() => go(nextOf(query), { replace: true }))
  const next = query.get("next")
  return h("div", { class: "narrow" }, heading("Sign in"), query.has("needed") && h("p", { class: "lead" }, "That page needs an account."), node,
    h("p", { class: "foot-line" }, "New here? ", link(`/register${next ? `?${new URLSearchParams({ next })}` : ""}`, {}, "Create an account"), ". ", link("/forgotten", {}, "Forgotten your password?")))
}
