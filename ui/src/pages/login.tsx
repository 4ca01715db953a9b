import { useState } from "preact/hooks";
import { said } from "../data/http";
import { logIn } from "../data/session";
import icon from "../icon.svg";

/** Stands in front of all pages while the daemon asks for a user. */
export function Login({ provider, onDone }: { provider: string | null; onDone: () => void }) {
  const [error, setError] = useState("");
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget as HTMLFormElement);
    try {
      await logIn(String(fields.get("user")), String(fields.get("password")));
      onDone();
    } catch (failure) {
      setError(said(failure));
    }
  };
  return (
    <main class="login">
      <form class="panel stack" onSubmit={(event) => void submit(event)}>
        <h1 class="row">
          <img src={icon} alt="" width="28" height="28" />
          Nissa
        </h1>
        <label class="field">
          User
          <input name="user" autocomplete="username" required autoFocus />
        </label>
        <label class="field">
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        {error && (
          <p class="note level-bad" role="alert">
            {error}
          </p>
        )}
        <button class="button main">Log in</button>
        {provider && (
          <a class="button" href={provider}>
            Log in with single sign-on
          </a>
        )}
      </form>
    </main>
  );
}
