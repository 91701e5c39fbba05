import "./App.css";
import Counter from "./components/Counter.jsx";

export default function App() {
  return (
    <main className="app">
      <h1>Hello</h1>
      <p>
        Edit <code>src/App.jsx</code> together.
      </p>
      <Counter />
    </main>
  );
}
