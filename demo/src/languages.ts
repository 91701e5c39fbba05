import type { Extension } from "@codemirror/state";

/** The syntax of a file by its name, loaded when it is first needed; nothing for plain text. */
export async function languageOf(path: string): Promise<Extension> {
  const extension = /\.([^./]+)$/.exec(path)?.[1]?.toLowerCase() ?? "";
  switch (extension) {
    case "js":
    case "mjs":
    case "cjs":
    case "jsx":
    case "ts":
    case "mts":
    case "cts":
    case "tsx": {
      const { javascript } = await import("@codemirror/lang-javascript");
      return javascript({ jsx: /x$|js$/.test(extension), typescript: extension.includes("ts") });
    }
    case "html":
    case "htm":
      return (await import("@codemirror/lang-html")).html();
    case "css":
      return (await import("@codemirror/lang-css")).css();
    case "json":
      return (await import("@codemirror/lang-json")).json();
    case "md":
    case "markdown":
      return (await import("@codemirror/lang-markdown")).markdown();
    case "vue":
      return (await import("@codemirror/lang-vue")).vue();
    case "svelte":
      return (await import("@replit/codemirror-lang-svelte")).svelte();
    default:
      return [];
  }
}
