/** What clients ask of the server, read from their side of PostgreSQL's protocol. */

/** A statement that a client has sent to be executed. */
export interface SentStatement {
  /** On the monotonic clock. */
  readonly at: number;
  readonly text: string;
}

/** `SSLRequest` has this in place of a version; another message without a type follows. */
const SSL_REQUEST = 80_877_103;

/** Collects the statements of any number of connections. */
export class SentStatements {
  readonly all: SentStatement[] = [];

  /** Statements that were sent from `from` to `to`, on the monotonic clock. */
  between(from: number, to: number): SentStatement[] {
    return this.all.filter(({ at }) => at >= from && at < to);
  }

  /** Reads one connection, chunk by chunk. */
  watch(): (chunk: Uint8Array) => void {
    let rest = new Uint8Array();
    let started = false;
    /** Texts of prepared statements, and which of them is bound. */
    const texts = new Map<string, string>();
    let bound = "";
    const add = (text: string): void => void this.all.push({ at: performance.now(), text });
    const read = (type: string, body: Uint8Array): void => {
      const [first = "", second = ""] = new TextDecoder().decode(body).split("\0");
      if (type === "Q") add(first);
      if (type === "P") texts.set(first, second);
      if (type === "B") bound = second;
      if (type === "E") add(texts.get(bound) ?? `unknown statement ${bound}`);
    };
    return (chunk) => {
      const bytes = new Uint8Array(rest.length + chunk.length);
      bytes.set(rest);
      bytes.set(chunk, rest.length);
      const view = new DataView(bytes.buffer);
      let position = 0;
      while (true) {
        // The first messages have no type; every one has its length, which counts itself.
        const head = started ? 1 : 0;
        if (bytes.length < position + head + 4) break;
        const length = view.getInt32(position + head);
        const end = position + head + length;
        if (bytes.length < end) break;
        if (started) {
          read(String.fromCharCode(bytes[position]!), bytes.subarray(position + 5, end));
        } else {
          started = view.getInt32(position + 4) !== SSL_REQUEST;
        }
        position = end;
      }
      rest = bytes.slice(position);
    };
  }
}
