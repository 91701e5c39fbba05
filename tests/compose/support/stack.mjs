// The shipped container files, run by the engine of this machine: built, started, killed and ended.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../../kill/support/patience.mjs';

const TOP = fileURLToPath(new URL('../../..', import.meta.url));
const DOCKER = process.env.DOCKER || 'docker';
/** `docker compose`, or `docker-compose` of before. */
const COMPOSE = (process.env.COMPOSE || `${DOCKER} compose`).split(' ');
/** A build that compiles the origin takes long on two cores. */
const LIMIT_MS = 90 * 60_000;
const START_MS = 3 * 60_000;

/** What a build may know of this machine's registries; no layer of an image has it. */
const SECRETS = [
  ['cargo', join(process.env.CARGO_HOME || join(homedir(), '.cargo'), 'config.toml')],
  ['npmrc', join(homedir(), '.npmrc')],
  ['ca', process.env.SSL_CERT_FILE || ''],
];

function run([program, ...args], { quiet = false } = {}) {
  return new Promise((done, failed) => {
    const env = { ...process.env, DOCKER_BUILDKIT: '1', COMPOSE_DOCKER_CLI_BUILD: '1' };
    const child = spawn(program, args, { cwd: TOP, env, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    let [output, log] = ['', ''];
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (log += data));
    child.on('error', failed);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0 || quiet) return done(output.trim());
      failed(new Error(`\`${[program, ...args].join(' ')}\` ended with ${code}:\n${(output + log).slice(-4000)}`));
    });
  });
}

/** Builds an image from one of the shipped Dockerfiles. */
export function build(dockerfile, image) {
  const secrets = SECRETS.filter(([, path]) => path && existsSync(path));
  const options = secrets.flatMap(([id, path]) => ['--secret', `id=${id},src=${path}`]);
  return run([DOCKER, 'build', '--file', dockerfile, '--tag', image, ...options, '.']);
}

/** The services of docker-compose.yml under a project name of their own, so that volumes of others stay as they are. */
export class Stack {
  #compose;
  url = 'http://127.0.0.1:8080';
  ws = 'ws://127.0.0.1:8080';
  edge = 'ws://127.0.0.1:8787';

  constructor(name, profile) {
    this.#compose = [...COMPOSE, '--project-name', name, ...(profile ? ['--profile', profile] : [])];
  }

  /** Starts what does not run and waits until the origin, and the Worker if there is one, is ready. */
  async start(services = []) {
    await run([...this.#compose, 'up', '--detach', '--no-build', ...services]);
    await this.ready();
  }

  /** Waits until the origin is ready, with both stores. */
  async ready() {
    const answer = () => fetch(`${this.url}/readyz`).then((response) => response.json(), () => undefined);
    const good = async () => {
      const { status, room_store, archive } = (await answer()) ?? {};
      return status === 'ready' && room_store === 'ok' && archive === 'ok';
    };
    await until('the origin is ready', good, START_MS);
  }

  /** Waits until the Worker sees its origin. */
  async edgeReady() {
    const good = async () => {
      const answer = await fetch('http://127.0.0.1:8787/healthz').then((response) => response.json(), () => undefined);
      return answer?.origins?.every(({ ready }) => ready);
    };
    await until('the Worker sees its origin', good, START_MS);
  }

  /** SIGKILL for the process of the origin; the engine starts its container again by itself. */
  async killOrigin() {
    const id = await run([...this.#compose, 'ps', '--quiet', 'origin']);
    const restarts = () => run([DOCKER, 'inspect', '--format', '{{.RestartCount}}', id]);
    const before = await restarts();
    const kill =
      'for process in /proc/[0-9]*; do ' +
      '[ "$(readlink "$process/exe")" = /usr/local/bin/origin ] && kill -9 "${process##*/}"; done; true';
    await run([DOCKER, 'exec', id, 'bash', '-c', kill], { quiet: true });
    await until('the container of the origin was started again', async () => (await restarts()) !== before);
    await this.ready();
  }

  /** Ends all services; their volumes stay. */
  async stop() {
    await run([...this.#compose, 'down', '--timeout', '40']);
  }

  /** Ends all services and removes their volumes. */
  async remove() {
    await run([...this.#compose, 'down', '--volumes', '--timeout', '10']);
  }

  /** What the services have logged, for a failure. */
  logs() {
    return run([...this.#compose, 'logs', '--tail', '60'], { quiet: true });
  }

  /** Makes a project. */
  async create(id) {
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ id, template: 'vanilla' });
    const answer = await fetch(`${this.url}/api/v1/shards`, { method: 'POST', headers, body });
    assert.equal(answer.status, 201, await answer.text());
  }

  /** The latest text of a file. */
  async text(room, path) {
    const answer = await fetch(`${this.url}/api/v1/shards/${room}/files/${path}`);
    assert.equal(answer.status, 200);
    return answer.text();
  }

  /** Whether the room store has the room. */
  async isOpen(room) {
    const answer = await fetch(`${this.url}/api/v1/rooms/${room}`);
    await answer.text();
    return answer.status === 200;
  }

  /** The files of the open room that are not in the archive yet. */
  async dirty(room) {
    const { files } = await fetch(`${this.url}/api/v1/rooms/${room}`).then((response) => response.json());
    return files.filter(({ dirty }) => dirty).map(({ path }) => path);
  }
}
