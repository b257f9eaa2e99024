/**
 * Bytes as text, which is how every client can send and give them. Natively where the platform can: that takes half the
 * time of code of ours, and payloads may be large.
 */

/** What newer platforms have: Node from 25, Deno and Bun. */
interface NativeBytes {
  toHex?(): string;
}
interface NativeDecoder {
  fromBase64?(text: string): Uint8Array;
}

/** What Node has had for ever. Not imported, as other platforms do without it. */
interface NodeBuffer {
  from(bytes: ArrayBufferLike, offset: number, length: number): { toString(as: "hex"): string };
  from(text: string, as: "base64"): Uint8Array<ArrayBuffer>;
}

const nodeBuffer: NodeBuffer | undefined = Reflect.get(globalThis, "Buffer");

/** Two digits for each byte. */
export function toHex(bytes: Uint8Array): string {
  const native = (bytes as NativeBytes).toHex?.();
  if (native !== undefined) return native;
  if (nodeBuffer !== undefined) {
    return nodeBuffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  }
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The bytes of a text in base64, broken into lines as PostgreSQL does. */
export function fromBase64(text: string): Uint8Array {
  const native = (Uint8Array as NativeDecoder).fromBase64?.(text);
  if (native !== undefined) return native;
  if (nodeBuffer !== undefined) {
    // A view, so that handlers get the same class everywhere.
    const { buffer, byteOffset, byteLength } = nodeBuffer.from(text, "base64");
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Whether a claim gives a payload as the JSON that it is, not in base64. See `sql/functions/payload.sql`. */
export function isJsonText(text: string): boolean {
  const begin = text[0];
  return begin === "{" || begin === "[" || begin === '"';
}
