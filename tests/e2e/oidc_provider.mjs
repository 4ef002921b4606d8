// An OpenID provider on 127.0.0.1 for tests: one client, a few people, a plain form to sign in with.
//   node tests/e2e/oidc_provider.mjs PORT REDIRECT_URI [MODULES]
// MODULES is the folder with what dev/node pins; dev/install makes one.
// Prints READY when it listens. The form takes the name of a person and no password.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [port, redirectUri, modules = process.env.METERHOUSE_TEST_NODE_MODULES] = process.argv.slice(2);
if (!port || !redirectUri) throw new Error("usage: oidc_provider.mjs PORT REDIRECT_URI [MODULES]");
// Node 18, Debian 12's, has none yet.
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);
const from = modules ? createRequire(join(modules, "package.json")) : createRequire(import.meta.url);
const { Provider } = await import(pathToFileURL(from.resolve("oidc-provider")).href);
const issuer = `http://localhost:${port}`; // Another site than 127.0.0.1: cookies must bear the way there and back.

const people = {
  ann: { email: "ann@example.com", email_verified: true, name: "Ann Example", groups: ["staff", "cloud-admins"] },
  bob: { email: "bob@example.com", email_verified: true, name: "Bob Example", groups: ["staff"] },
  carl: { email: "carl@example.com", email_verified: false, name: "Carl Unverified", groups: ["staff"] },
  dora: { email: "dora@elsewhere.example", email_verified: true, name: "Dora Foreign", groups: "staff" },
};

const keys = [["rsa", { modulusLength: 2048 }, "RS256"], ["ec", { namedCurve: "P-256" }, "ES256"]].map(
  ([kind, options, alg]) => {
    const { privateKey } = generateKeyPairSync(kind, options);
    return { ...privateKey.export({ format: "jwk" }), use: "sig", alg, kid: alg };
  },
);

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "meterhouse",
      client_secret: "a fixed secret: of tests",
      redirect_uris: [redirectUri],
      id_token_signed_response_alg: process.env.ID_TOKEN_ALG || "RS256",
    },
  ],
  jwks: { keys },
  cookies: { keys: ["a fixed key of tests"] },
  claims: { openid: ["sub", "acr", "amr", "auth_time"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
  scopes: ["openid", "email", "profile", "groups"],
  // All claims in the ID token, as most providers do it.
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  // Consent is given at once.
  async loadExistingGrant(context) {
    const grant = new provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    });
    grant.addOIDCScope("openid email profile groups");
    await grant.save();
    return grant;
  },
  findAccount: (_context, id) =>
    people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
});

// Lies to tell in ID tokens from now on, one at a time: `POST /lie?what=nonce`, and `POST /lie` for none.
let lie = "";
const foreignKey = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const lies = {
  nonce: { nonce: "of another sign-in" },
  audience: { aud: "somebody else" },
  expired: { exp: Math.floor(Date.now() / 1000) - 3600, iat: Math.floor(Date.now() / 1000) - 7200 },
  issuer: { iss: "http://127.0.0.1:9" },
  key: {},
  unsigned: {},
};

function lied(token) {
  const [head, body] = token.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
  const header = lie === "unsigned" ? { alg: "none" } : head;
  const parts = [header, { ...body, ...lies[lie] }].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  const key = lie === "key" ? foreignKey : createPrivateKey({ key: keys[0], format: "jwk" });
  const signature = lie === "unsigned" ? "" : sign("sha256", Buffer.from(parts.join(".")), key).toString("base64url");
  return [...parts, signature].join(".");
}

provider.use(async (context, next) => {
  await next();
  if (lie && context.body?.id_token) context.body = { ...context.body, id_token: lied(context.body.id_token) };
});

const page = (uid) => `<!doctype html><html lang="en"><title>Test provider</title>
<form method="post" action="/interaction/${uid}"><label>Name <input name="login" autofocus></label>
<button>Sign in</button></form></html>`;

async function interaction(request, response) {
  const { uid } = await provider.interactionDetails(request, response);
  if (request.method !== "POST") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(page(uid));
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  const login = new URLSearchParams(body).get("login");
  const result = people[login]
    ? { login: { accountId: login, amr: ["pwd", "otp"], acr: "2", remember: false } }
    : { error: "access_denied", error_description: "nobody of this name" };
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
}

const callback = provider.callback();
createServer((request, response) => {
  if (request.method === "POST" && request.url.startsWith("/lie")) {
    lie = new URL(request.url, issuer).searchParams.get("what") ?? "";
    return response.writeHead(lie && !lies[lie] ? 400 : 204).end();
  }
  if (!request.url.startsWith("/interaction/")) return callback(request, response);
  interaction(request, response).catch((error) => response.writeHead(400).end(`${error}\n`));
}).listen(Number(port), "127.0.0.1", () => console.log("READY"));
