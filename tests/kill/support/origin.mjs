// The origin as a process: started on a port that it picks itself, asked over REST, ended by a signal.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { PATIENCE_MS, until } from './patience.mjs';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Runs the binary that `EDGEROOM_ORIGIN` names. */
export class Origin {
  #output = '';
  #ended;
  #child;

  constructor(settings, roles = []) {
    const binary = process.env.EDGEROOM_ORIGIN;
    assert.ok(binary && existsSync(binary), 'EDGEROOM_ORIGIN names no binary: run `cargo xtask test kill`');
    const own = { LISTEN: '127.0.0.1:0', AUTH: 'open', PAGE_DIR: 'none', LOG_FORMAT: 'json' };
    const stdio = ['ignore', 'pipe', 'pipe'];
    this.#child = spawn(binary, roles, { env: { ...own, ...settings }, stdio });
    running.add(this.#child);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => (this.#output += text));
    }
    this.#ended = once(this.#child, 'close').then(([code, signal]) => {
      running.delete(this.#child);
      return { code, signal };
    });
  }

  /** What it has said. */
  get output() {
    return this.#output;
  }

  /** Ends with the code or signal that it ended with. */
  get ended() {
    return this.#ended;
  }

  /** Waits until it listens; from then on it has `url` and `ws`. Fails if it ends instead. */
  async listening() {
    let address;
    const heard = async () => {
      const said = () => /"address":"([^"]+)"/.exec(this.#output)?.[1];
      while (!(address = said())) await once(this.#child.stderr, 'data');
    };
    const died = this.#ended.then(() => assert.fail(`the origin has ended:\n${this.#output}`));
    let timer;
    const late = new Promise((_, failed) => {
      timer = setTimeout(() => failed(new Error(`the origin does not listen:\n${this.#output}`)), PATIENCE_MS);
    });
    await Promise.race([heard(), died, late]).finally(() => clearTimeout(timer));
    [this.url, this.ws] = [`http://${address}`, `ws://${address}`];
  }

  /** Stops the process where it is, and waits until it stands still: threads may run on for a moment. */
  async freeze() {
    this.#child.kill('SIGSTOP');
    const state = () => spawnSync('ps', ['-o', 'state=', '-p', `${this.#child.pid}`], { encoding: 'utf8' }).stdout;
    await until('it stands still', () => state().startsWith('T'));
  }

  /** Sends the signal, and waits for nothing. */
  signal(name) {
    this.#child.kill(name);
  }

  /** Sends the signal, and waits for the end. */
  async end(signal) {
    this.#child.kill(signal);
    return this.#ended;
  }

  /** Asks over REST. */
  fetch(path, { body, ...options } = {}) {
    const headers = { 'content-type': 'application/json' };
    const json = { method: 'POST', headers, body: JSON.stringify(body) };
    return fetch(`${this.url}${path}`, { ...(body && json), ...options });
  }

  /** Makes a shard; the answer is `{ id, files }`. */
  async create(body) {
    const answer = await this.fetch('/api/v1/shards', { body });
    assert.equal(answer.status, 201, await answer.clone().text());
    return answer.json();
  }

  /** The latest text of a file; `wish` is the query. */
  async text(room, path, wish = '') {
    const answer = await this.fetch(`/api/v1/shards/${room}/files/${path}${wish}`);
    const text = await answer.text();
    assert.equal(answer.status, 200, text);
    return text;
  }

  /** The open room as REST reports it; `undefined` while nobody has it open. */
  async room(id) {
    const answer = await this.fetch(`/api/v1/rooms/${id}`);
    if (answer.status === 404) return void (await answer.text());
    assert.equal(answer.status, 200);
    return answer.json();
  }
}
