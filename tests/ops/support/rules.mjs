// The alert rules and the dashboard as the tests read them, and the names in their queries.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const pathOf = (file) => fileURLToPath(new URL(`../../../${file}`, import.meta.url));
export const textOf = (file) => readFileSync(pathOf(file), 'utf8');

const KEYS = {
  8: ['expr', 'for', 'labels', 'annotations'],
  10: ['severity', 'summary', 'action', 'runbook'],
};

/**
 * The rules of `ops/alerts.yml`. It is written in a part of YAML only: a key and a value in each line, values plain or
 * in double quotes. Anything else is refused with its line.
 */
export function readRules(text) {
  const rules = [];
  let above;
  text.split('\n').forEach((line, index) => {
    if (/^\s*(#|$)/.test(line) || /^groups:$|^ {2}- name: \w+$|^ {4}rules:$/.test(line)) return;
    const begun = /^ {6}- alert: (\w+)$/.exec(line);
    if (begun) return void rules.push({ alert: begun[1] });
    const [, indent, key, value] = /^( {8}| {10})(\w+):(?: (.+))?$/.exec(line) ?? [];
    const rule = rules.at(-1);
    const wrong = !rule || !KEYS[indent?.length]?.includes(key);
    const target = indent?.length === 10 ? rule?.[above] : rule;
    if (wrong || !target || key in target) throw new Error(`${index + 1}: ${line}`);
    if (value === undefined) [above, target[key]] = [key, {}];
    else target[key] = value.startsWith('"') ? JSON.parse(value) : value;
  });
  return rules;
}

/** Every query of a Grafana dashboard. */
export const readQueries = (dashboard) =>
  JSON.parse(dashboard).panels.flatMap((panel) => panel.targets.map(({ expr }) => expr));

const CLAUSE = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;
const KEYWORDS = ['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan'];

/** What a query names: `metrics`, `pairs` (metric, label, value) that it selects by, and `labels` that it groups by. */
export function namesIn(query) {
  const pairs = [...query.matchAll(/([\w:]+)\{([^}]*)\}/g)].flatMap(([, metric, matchers]) =>
    [...matchers.matchAll(/(\w+)\s*=\s*"([^"]*)"/g)].map(([, label, value]) => ({ metric, label, value })),
  );
  const bare = query.replace(/\{[^}]*\}|\[[^\]]*\]/g, ' ');
  const labels = [...bare.matchAll(CLAUSE)].flatMap(([, list]) => list.match(/\w+/g) ?? []);
  const words = bare.replace(CLAUSE, ' ').match(/\b[A-Za-z_:][\w:]*\b(?!\s*\()/g) ?? [];
  return { metrics: words.filter((word) => !KEYWORDS.includes(word.toLowerCase())), pairs, labels };
}
