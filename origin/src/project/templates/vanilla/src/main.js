import "./style.css";
import { setUpCounter } from "./counter.js";

document.querySelector("#app").innerHTML = `
  <main>
    <h1>Hello</h1>
    <p>Edit <code>src/main.js</code> together.</p>
    <button id="counter" type="button"></button>
  </main>
`;

setUpCounter(document.querySelector("#counter"));
