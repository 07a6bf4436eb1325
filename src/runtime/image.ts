import type Docker from "dockerode";
import { CloudError } from "../model/error.ts";
import { engineWords, statusOf } from "./engine.ts";

export type PullPolicy = "missing" | "always" | "never";

/** Pulls an image and waits for it. @throws CloudError with the registry's or the engine's own words. */
export async function pullImage(docker: Docker, image: string, signal: AbortSignal): Promise<void> {
  let failure: string | undefined;
  try {
    const progress = await docker.pull(withTag(image), { abortSignal: signal });
    failure = await new Promise((resolve, reject) => {
      docker.modem.followProgress(progress, (error: Error | null, steps: { error?: string }[]) => {
        if (error) reject(error);
        else resolve(steps.findLast((step) => step.error !== undefined)?.error);
      });
    });
  } catch (error) {
    const code = statusOf(error) === 404 ? "not_found" : "unavailable";
    throw new CloudError(code, `Image ${image} cannot be pulled: ${engineWords(error)}`);
  }
  if (failure !== undefined) {
    throw new CloudError("not_found", `Image ${image} cannot be pulled: ${failure}`);
  }
}

/** Without a tag or a digest the engine would pull every tag of the repository. */
function withTag(image: string): string {
  const name = image.slice(image.lastIndexOf("/") + 1);
  return /[:@]/.test(name) ? image : `${image}:latest`;
}
