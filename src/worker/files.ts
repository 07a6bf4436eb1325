// Called by: worker/attempt. May touch: an attempt's output folder, read only. Never: holds more than one chunk of it.
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../lib/log.ts";
import { CloudError, messageOf } from "../model/error.ts";
import type { FileAnswer, FilePart, KeptFile, LeftOut } from "../model/files.ts";
import type { AttemptRef } from "../model/ids.ts";
import type { Slots } from "./output.ts";
import { type FoundFile, type Survey, survey } from "./survey.ts";

const CHUNK_BYTES = 512 * 1024;
/** A file of which the master wants a beginning this often on one session is given up. */
const MOST_LAPSES = 5;

/** What files need of the master. */
export interface FileSession {
  appendFile(ref: AttemptRef, part: FilePart): Promise<FileAnswer>;
}

export interface FileShipperOptions {
  readonly ref: AttemptRef;
  /** What the attempt left; nothing in it changes any more. */
  readonly folder: string;
  readonly maxBytes: number;
  /** Shared by all attempts: how many chunks may be in memory at once. */
  readonly slots: Slots;
  readonly log: Logger;
}

/** Ships the files that an attempt has left to the master, one after the other. An attempt that left none costs a look. */
export class FileShipper {
  #survey: Promise<Survey> | undefined;
  /** Over which `#done` was said. */
  #session: FileSession | undefined;
  /** So many files, and then so many notes, `#session` has taken. */
  #done = 0;

  constructor(private readonly options: FileShipperOptions) {}

  /**
   * Resolves once the master that `session` leads to has every file, or the note that it is left out, or wants none. What
   * one session has taken is not said to it again, but to the next one: a master may have lost its power in between.
   * A file that can never be taken is left out. @throws as `session` does, when the same call may succeed later.
   */
  async assure(session: FileSession): Promise<void> {
    this.#survey ??= survey(this.options.folder, this.options.maxBytes);
    const { files, leftOut } = await this.#survey;
    if (this.#session !== session) this.#done = 0;
    this.#session = session;
    const all = [...files, ...leftOut];
    while (this.#done < all.length) {
      const next = all[this.#done];
      if (next === undefined) return;
      const wanted = "reason" in next ? await this.#note(session, next) : await this.#send(session, next);
      this.#done = wanted ? this.#done + 1 : all.length;
    }
  }

  /** @returns whether the master wants more of this attempt. */
  async #send(session: FileSession, found: FoundFile): Promise<boolean> {
    const { log } = this.options;
    try {
      return await this.#sendWhole(session, found);
    } catch (error) {
      if (mayPass(error)) throw error;
      log.warn("a file is left out", { path: found.path, reason: messageOf(error) });
      return this.#note(session, { path: found.path, reason: messageOf(error) });
    }
  }

  async #sendWhole(session: FileSession, found: FoundFile): Promise<boolean> {
    const { ref, slots } = this.options;
    let file = await this.#digested(found);
    let offset = 0;
    for (let lapses = 0; lapses < MOST_LAPSES; ) {
      const answer = await slots.use(async () => {
        const data = await this.#read(found, offset);
        return session.appendFile(ref, { kind: "chunk", file, offset, data });
      });
      if (answer.unwanted) return false;
      if (answer.done) return true;
      if (answer.length <= offset) {
        lapses += 1;
        // What was read may have changed since its digest was taken.
        file = await this.#digested(found);
      }
      offset = answer.length;
    }
    throw new CloudError("internal", "what arrived did not fit its checksum");
  }

  async #note(session: FileSession, { path, reason }: LeftOut): Promise<boolean> {
    const { ref, log } = this.options;
    try {
      return !(await session.appendFile(ref, { kind: "left_out", path, reason })).unwanted;
    } catch (error) {
      if (mayPass(error)) throw error;
      // An older master, for instance: it knows of no files.
      log.warn("the master does not take what an attempt left in files", { reason: messageOf(error) });
      return false;
    }
  }

  async #digested(found: FoundFile): Promise<KeptFile> {
    const hash = new Bun.CryptoHasher("sha256");
    for (let offset = 0; offset < found.bytes; ) {
      const length = await this.options.slots.use(async () => {
        const data = await this.#read(found, offset);
        hash.update(data);
        return data.length;
      });
      offset += length;
    }
    return { ...found, sha256: hash.digest("hex") };
  }

  /** The chunk at `offset`. @throws CloudError internal when it is not there, or no plain file any more. */
  async #read({ path, bytes }: FoundFile, offset: number): Promise<Uint8Array> {
    const length = Math.min(CHUNK_BYTES, bytes - offset);
    if (length <= 0) return new Uint8Array(0);
    try {
      const file = await openPlain(join(this.options.folder, path));
      try {
        const buffer = Buffer.allocUnsafe(length);
        const { bytesRead } = await file.read(buffer, 0, length, offset);
        if (bytesRead > 0) return buffer.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw new CloudError("internal", `it cannot be read: ${messageOf(error)}`);
    }
    throw new CloudError("internal", "it became shorter while it was sent");
  }
}

/** Neither through a link nor, waiting for a writer, a pipe: its name may stand for something else by now. */
async function openPlain(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Error("it is no plain file any more");
}

/** Whether the same call may succeed on another session or at another time. */
function mayPass(error: unknown): boolean {
  return !(error instanceof CloudError) || error.code === "unavailable" || error.code === "session_over";
}
