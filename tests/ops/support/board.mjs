// The board of the queue, started from the file that is shipped.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { until } from '../../kill/support/patience.mjs';
import { pathOf } from './rules.mjs';

/** Starts `ops/bull-board.mjs` with these variables for the test `t`; the answer is its address. */
export async function startBoard(t, variables) {
  const env = { PATH: process.env.PATH, PORT: '0', ...variables };
  const board = spawn(process.execPath, [pathOf('ops/bull-board.mjs')], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.after(() => board.kill('SIGKILL'));
  let [said, ended] = ['', false];
  board.once('close', () => (ended = true));
  for (const stream of [board.stdout, board.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const address = () => {
    assert.ok(!ended, said);
    return /listens on (http:\S+)/.exec(said)?.[1];
  };
  return until('the board listens', address);
}
