// Called by: master, worker, cli. May touch: nothing. Never: reads a file at run time.
import packageJson from "../../package.json" with { type: "json" };

/** Set by `bun build --define`; absent when the sources run uncompiled. */
declare const CLOUDAI_COMMIT: string | undefined;

export const VERSION: string = packageJson.version;
/** The short commit that the binary was built from; `source` when it was not built. */
export const COMMIT: string = typeof CLOUDAI_COMMIT === "string" ? CLOUDAI_COMMIT : "source";
