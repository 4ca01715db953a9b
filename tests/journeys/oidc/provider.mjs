// A certified OpenID provider for the journey of logins. Settings: JSON in the variable SETTINGS.
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const { port, clientId, clientSecret, redirectUrl, groups } = JSON.parse(process.env.SETTINGS);
const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: [redirectUrl] }],
  jwks: { keys: [{ ...key, use: "sig", alg: "RS256", kid: `key-${process.pid}` }] },
  cookies: { keys: ["only-for-tests"] },
  claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
  scopes: ["openid", "profile", "groups"],
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, groups: groups[id] ?? [] }),
  }),
});
provider.listen(port, "127.0.0.1", () => console.log("ready"));
