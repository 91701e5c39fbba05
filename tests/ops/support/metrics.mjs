// The origin's metrics as Prometheus reads them.

/** Every sample of `/metrics`: `{ name, labels, value }`. */
export async function readMetrics(origin) {
  const text = await (await origin.fetch('/metrics')).text();
  const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
  return lines.map((line) => {
    const [, name, list = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    const labels = Object.fromEntries([...list.matchAll(/(\w+)="([^"]*)"/g)].map(([, label, text]) => [label, text]));
    return { name, labels, value: Number(value) };
  });
}
