/** The server's REST interface, as far as the page needs it. */

/** A template of a new project. */
export interface Template {
  id: string;
  title: string;
  description: string;
}

/** A stored project. */
export interface Shard {
  id: string;
  title: string;
  files: { id: string; path: string; stored_at?: string | null }[];
}

/** A refusal, with the stable code of its problem document. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Calls under `/api/v1`, with a bearer token if the page was opened with one. */
export class Api {
  readonly #token: string | null;

  constructor(token: string | null) {
    this.#token = token;
  }

  /** The templates that a project can start from. */
  async templates(): Promise<Template[]> {
    return this.#call<Template[]>("GET", "/templates");
  }

  /** Makes a project; its id is made up by the server. */
  async createShard(request: { title?: string; template?: string }): Promise<Pick<Shard, "id" | "files">> {
    return this.#call("POST", "/shards", request);
  }

  /** A project's title and files. */
  async shard(id: string): Promise<Shard> {
    return this.#call("GET", `/shards/${encodeURIComponent(id)}`);
  }

  /** Where a file's latest text can be downloaded, with its original line ends. */
  fileUrl(shard: string, path: string): string {
    const segments = path.split("/").map(encodeURIComponent).join("/");
    return `/api/v1/shards/${encodeURIComponent(shard)}/files/${segments}`;
  }

  /** The text behind [`fileUrl`], as bytes. */
  async fileBytes(shard: string, path: string): Promise<Blob> {
    return (await this.#fetch("GET", this.fileUrl(shard, path))).blob();
  }

  async #call<Answer>(method: string, path: string, body?: object): Promise<Answer> {
    return (await this.#fetch(method, `/api/v1${path}`, body)).json() as Promise<Answer>;
  }

  async #fetch(method: string, url: string, body?: object): Promise<Response> {
    const headers = new Headers({ accept: "application/json, text/plain;q=0.9" });
    if (body) headers.set("content-type", "application/json");
    if (this.#token) headers.set("authorization", `Bearer ${this.#token}`);
    const response = await fetch(url, { method, headers, body: body ? JSON.stringify(body) : null }).catch(() => {
      throw new ApiError(0, "unreachable", "The server cannot be reached.");
    });
    if (!response.ok) throw await problemOf(response);
    return response;
  }
}

async function problemOf(response: Response): Promise<ApiError> {
  const problem: { code?: unknown; title?: unknown; detail?: unknown } = await response.json().catch(() => ({}));
  const text = [problem.detail, problem.title].find((part) => typeof part === "string" && part !== "");
  const code = typeof problem.code === "string" ? problem.code : `http-${response.status}`;
  return new ApiError(response.status, code, typeof text === "string" ? text : `The server answered ${response.status}.`);
}
