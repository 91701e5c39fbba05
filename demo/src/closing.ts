/**
 * What a close means: come back, or don't. The stock provider reconnects whatever the code, so the
 * page has to stop it where coming back cannot help.
 */

const BY_CODE: Record<number, string> = {
  4400: "The server could not read what this page sent.",
  4401: "Your access to this project has expired or is not valid.",
  4403: "You are not allowed to open this project.",
  4404: "There is no such project.",
  4409: "This page has lost track of the text. Load it again.",
  4410: "This project has been deleted.",
  4413: "This project has more files than the server takes.",
};

const BY_REASON: Record<string, string> = {
  "bad-frame": "the server could not read what this page sent",
  unauthorized: "your access has expired or is not valid",
  forbidden: "you are not allowed to open it",
  "not-found": "it does not exist",
  deleted: "it has been deleted",
  "too-large": "it is too large",
  "file-too-large": "it is too large",
  "bad-path": "its name is not allowed",
};

/** Why a socket that was closed with this code must stay closed; `null` if it may come back. */
export function permanentClose(code: number): string | null {
  // The provider itself closes with 4408 when it hears nothing for too long.
  if (code < 4400 || code > 4499 || code === 4408) return null;
  return BY_CODE[code] ?? `The server has closed this project (${code}).`;
}

/** What the server's CLOSE of one document asks for. */
export type Reopening = { kind: "again" } | { kind: "again" } | { kind: "never"; why: string };

/**
 * Reads the reason of a CLOSE. After `reset`, and when an update was refused for good, the document holds text that
 * the log will never have: it has to be fetched again, into a new document with another client id.
 */
export function reopening(reason: string): Reopening {
  if (reason === "reset" || reason === "file-diverged" || reason.startsWith("update-")) return { kind: "again" };
  const why = BY_REASON[reason];
  return why ? { kind: "never", why } : { kind: "again" };
}
