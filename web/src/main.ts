import "./styles/index.css";
import { App } from "./app";
import { loadLanguage } from "./language";

const root = document.getElementById("app");
if (root) void loadLanguage().then(() => new App(root).start());
