import { render } from "preact";
import { App } from "./app";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/overview.css";
import { applyTheme, theme } from "./theme";

applyTheme(theme());
const root = document.getElementById("app");
if (root) render(<App />, root);
