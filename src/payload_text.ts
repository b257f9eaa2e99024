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
  const keep = (value: Uint8Array | null): void => {
    texts.delete(job);
    Object.defineProperty(job, "payload", {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  };
  texts.set(job, text);
  return Object.defineProperty(job, "payload", {
    enumerable: true,
    configurable: true,
    get(): Uint8Array | null {
      keep(utf8.encode(text));
      return job.payload;
    },
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
