// The alert rules: Prometheus accepts them, each one fires when it should, and says what is to be done.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { pathOf, readRules, textOf } from './support/rules.mjs';

const ALERTS = 'ops/alerts.yml';
const CASES = 'tests/ops/alerts.cases.yml';

/** What promtool says to `args`; `undefined` where there is none. */
function promtool(t, ...args) {
  const program = process.env.PROMTOOL;
  if (!program) return void t.diagnostic(`no promtool for ${args.join(' ')}: the tests' own reader alone has served`);
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  assert.equal(error, undefined);
  assert.equal(status, 0, stdout + stderr);
  t.diagnostic(`${program} ${args.join(' ')} has served`);
  return stdout;
}

test('prometheus accepts its configuration and every rule', (t) => {
  const rules = readRules(textOf(ALERTS));
  assert.match(textOf('ops/prometheus.yml'), /^rule_files:\n {2}- alerts\.yml$/m);
  const said = promtool(t, 'check', 'config', pathOf('ops/prometheus.yml'));
  if (said !== undefined) assert.match(said, new RegExp(`${rules.length} rules found`));
});

test('each alert fires when what it watches lasts, and not before', (t) => {
  promtool(t, 'test', 'rules', pathOf(CASES));
  const wrong = textOf(CASES).split('name: everything is wrong')[1];
  for (const { alert } of readRules(textOf(ALERTS))) assert.ok(wrong.includes(`{alertname="${alert}"}`), alert);
});

test('each rule waits, says how urgent it is and what to do, and is in the handbook', () => {
  const handbook = textOf('docs/OPERATIONS.md');
  const anchors = [...handbook.matchAll(/^#+ (.+)$/gm)].map(([, title]) => title.toLowerCase().replace(/\W+/g, '-'));
  const rules = readRules(textOf(ALERTS));
  assert.equal(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  for (const { alert, expr, labels, annotations, ...rule } of rules) {
    assert.match(rule.for, /^\d+m$/, alert);
    assert.ok(expr && expr.split('(').length === expr.split(')').length, alert);
    assert.ok(['page', 'ticket'].includes(labels.severity), alert);
    assert.ok(annotations.summary && annotations.action, alert);
    const [file, anchor] = annotations.runbook.split('#');
    assert.ok(file === 'docs/OPERATIONS.md' && anchors.includes(anchor), annotations.runbook);
    assert.ok(handbook.includes(`| \`${alert}\` |`), `docs/OPERATIONS.md has no row for ${alert}`);
  }
});

test('what is no rule is refused by the reader', () => {
  const whole = textOf(ALERTS);
  for (const [from, to] of [
    ['        expr: up', '       expr: up'],
    ['        for: 2m', '        four: 2m'],
    ['    rules:', '    rule:'],
    ['          severity: page', '        severity: page'],
  ]) {
    assert.ok(whole.includes(from), from);
    assert.throws(() => readRules(whole.replace(from, to)), to);
  }
});
