import { CloudError, messageOf } from "../model/error.ts";
import { quote } from "../model/ids.ts";

const MOST_BODY_BYTES = 1024 * 1024;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The request's body as JSON; an absent content type is taken for JSON.
 * @throws CloudError unsupported_content_type, body_too_large, malformed_json.
 */
export async function readJson(request: Request): Promise<unknown> {
  const type = request.headers.get("content-type");
  if (type !== null && !/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type)) {
    throw new CloudError(
      "unsupported_content_type",
      `The content type is ${quote(type)}; it must be application/json.`,
      "Send the header content-type: application/json.",
    );
  }
  const bytes = await readBytes(request);
  if (bytes.length === 0) throw new CloudError("malformed_json", "The body is empty; it must be JSON.");
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new CloudError("malformed_json", `The body is not JSON: ${messageOf(error)}.`);
  }
}

async function readBytes(request: Request): Promise<Uint8Array> {
  const { headers } = request;
  const declared = Number(headers.get("content-length") ?? Number.NaN);
  if (declared > MOST_BODY_BYTES) throw tooLarge();
  try {
    // What says its length is never longer: HTTP sees to that. To read it as a stream would cost 30 µs.
    const isDeclared = declared <= MOST_BODY_BYTES && !headers.has("transfer-encoding");
    return await (isDeclared ? request.bytes() : readStream(request));
  } catch (error) {
    if (error instanceof CloudError) throw error;
    throw new CloudError("malformed_json", `The body ended too early: ${messageOf(error)}.`);
  }
}

/** Counted as it comes: a chunked body does not say its length. */
async function readStream({ body }: Request): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body ?? []) {
    length += chunk.length;
    if (length > MOST_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(): CloudError {
  return new CloudError(
    "body_too_large",
    "The body is over 1 MiB.",
    "Send fewer tasks in one request, or put large data where the tasks can fetch it.",
  );
}
