import { types } from "node:util";

/**
 * The bytes of a stream; `undefined` for more than `maxSize` of them: the rest is not read.
 * @throws if the stream fails or gives something else than bytes, or if `signal` is aborted meanwhile
 */
export async function readBytes(
  stream: AsyncIterable<unknown>,
  maxSize: number,
  signal?: AbortSignal,
): Promise<Buffer | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    signal?.throwIfAborted(); // the source may go on after the deadline
    if (!types.isUint8Array(chunk)) throw new TypeError("not a byte stream");
    size += chunk.byteLength;
    if (size > maxSize) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
