import { COMMIT, VERSION } from "../lib/version.ts";
import { defineSubcommand } from "./command.ts";
import { EXIT } from "./errors.ts";
import { outputFlag, outputOf } from "./output.ts";

export const version = defineSubcommand({
  name: "version",
  flags: { output: outputFlag },
  run: async ({ flags }, context) => {
    const platform = `${process.platform}-${process.arch}`;
    await outputOf(flags.output, context).show({
      json: { version: VERSION, commit: COMMIT, bun: Bun.version, platform },
      ids: [VERSION],
      text: () => `cloudai ${VERSION} (commit ${COMMIT}, Bun ${Bun.version}, ${platform})\n`,
    });
    return EXIT.done;
  },
});
