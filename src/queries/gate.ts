/** Entrypoints, as claims see them. */
import { numberArray, textArray } from "../sql/array_literal.ts";
import { type ClaimRange, wholeRange } from "./claim_range.ts";

/** What a worker wants of one entrypoint. */
export interface Gate {
  readonly entrypoint: string;
  /** Most picked jobs of the fleet; `0`: no limit. */
  readonly concurrencyLimit: number;
  /** Most starts a second of the fleet; `Infinity`: no limit. */
  readonly requestsPerSecond: number;
  /** Whether its jobs without a dedupe key run one after another. */
  readonly serializedDispatch: boolean;
  /** Age at which a heartbeat is too old; `0`: never. */
  readonly leaseMs: number;
  /** Take-overs in a row after which a job is held. */
  readonly maxTakeOvers: number;
}

/** Whether claims of an entrypoint have to count. */
export function isLimited(gate: Gate): boolean {
  return gate.concurrencyLimit > 0 || gate.requestsPerSecond < Infinity || gate.serializedDispatch;
}

/** All ready jobs of some entrypoints. */
export function wholeRanges(gates: readonly Gate[]): ClaimRange[] {
  return gates.map(({ entrypoint }) => wholeRange(entrypoint));
}

/** As parameters of a statement. */
export function encodeGates(gates: readonly Gate[]): string[] {
  return [
    textArray(gates.map((gate) => gate.entrypoint)),
    numberArray(gates.map((gate) => gate.concurrencyLimit)),
    numberArray(gates.map((gate) => gate.requestsPerSecond)),
    textArray(gates.map((gate) => String(gate.serializedDispatch))),
  ];
}
