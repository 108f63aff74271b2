// Register, sell, order until ACCEPTED, search and page, make a webhook: typed by what is generated from the contract.
import createClient from "openapi-fetch";
import type { components, paths } from "./souk.js";

const [baseUrl, mark] = process.argv.slice(2);
const password = "correct horse battery";
const souk = createClient<paths>({ baseUrl });

function given<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

async function signedIn(name: string) {
  const username = `${name}-${mark}`;
  given(await souk.POST("/api/v1/users", { body: { username, password, display_name: "" } }));
  const token = given(
    await souk.POST("/oauth/token", {
      body: { grant_type: "password", client_id: "souk-web", username, password },
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      bodySerializer: (form) => new URLSearchParams(form as Record<string, string>).toString(),
    }),
  );
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token.access_token}` } });
}

const seller = await signedIn("ts-seller");
const buyer = await signedIn("ts-buyer");
const word = `oak${mark}`;
let product: components["schemas"]["Product"] | undefined;
for (const number of [0, 1, 2]) {
  product = given(
    await seller.POST("/api/v1/products", {
      body: {
        title: `${word} spoon ${number}`, description: "", price: { amount: 1999, currency: "EUR" },
        stock: 5, tags: [], images: [], state: "ACTIVE",
      },
    }),
  );
}
const first = given(await souk.GET("/api/v1/products", { params: { query: { q: word, limit: 2 } } }));
const second = given(
  await souk.GET("/api/v1/products", { params: { query: { q: word, limit: 2, cursor: first.next ?? "" } } }),
);
let order = given(
  await buyer.POST("/api/v1/orders", { body: { lines: [{ product_id: product!.id, quantity: 2 }] } }),
);
const path = { order_id: order.id };
given(
  await buyer.POST("/api/v1/orders/{order_id}/confirm", {
    params: { path },
    body: { payment: { method: "card", token: "tok_ok" } },
  }),
);
for (let tries = 0; order.state !== "ACCEPTED" && tries < 300; tries++) {
  await new Promise((done) => setTimeout(done, 200));
  order = given(await buyer.GET("/api/v1/orders/{order_id}", { params: { path } }));
}
const webhook = given(
  await buyer.POST("/api/v1/webhooks", {
    body: { url: "https://shop.example/hook", types: ["order.accepted"], description: "" },
  }),
);
console.log(order.state, order.total.amount, first.results.length, second.results.length, webhook.secret?.slice(0, 6));
