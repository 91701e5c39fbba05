/** Counts the clicks on a button and shows them on it. */
export function setUpCounter(button) {
  let count = 0;
  const show = () => {
    button.textContent = `Clicked ${count} times`;
  };
  button.addEventListener("click", () => {
    count += 1;
    show();
  });
  show();
}
