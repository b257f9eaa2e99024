import type { Job } from "./job.ts";

/** Of jobs whose payload nobody has asked for yet. */
const texts = new WeakMap<object, string>();
const utf8 = new TextEncoder();

/**
 * Gives a job a payload that came as text. Its bytes are made when they are first asked for: who wants a large value of JSON is
 * spared to write it as bytes and to read those again.
 *
 * @returns The same job.
 */
export function withPayloadText<J extends Job>(job: J, text: string): J {
  let payload: Uint8Array | null | undefined;
  const keep = (value: Uint8Array | null): Uint8Array | null => {
    texts.delete(job);
    return payload = value;
  };
  texts.set(job, text);
  return Object.defineProperty(job, "payload", {
    enumerable: true,
    configurable: true,
    // The text is in one place, so that it goes when its bytes are made.
    get: () => payload === undefined ? keep(utf8.encode(texts.get(job))) : payload,
    set: keep,
  });
}

/** The payload of a job as text, where it came so and nobody has asked for the bytes. */
export function payloadText(job: Job): string | undefined {
  return texts.get(job);
}

/** About how many bytes a payload has, without making them. */
export function payloadSize(job: Job): number {
  return payloadText(job)?.length ?? job.payload?.byteLength ?? 0;
}
