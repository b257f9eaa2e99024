/** Does each command to the queue and to the model. */
import { randomUUID } from "node:crypto";
import type { Gate } from "../../src/queries/gate.ts";
import { faultsOf } from "./claim_rule.ts";
import { type Choice, ENTRYPOINTS, type InputCommand, type QueueCommand } from "./commands.ts";
import { type Comparison, NOBODY } from "./comparison.ts";
import type { ModelInput } from "./queue_model.ts";
import { COLUMN, modelJob, shownJob } from "./rows.ts";

/** A command of one kind. */
type Of<Kind extends QueueCommand["do"]> = Extract<QueueCommand, { readonly do: Kind }>;

/** A process that runs jobs. */
interface Worker {
  readonly name: string;
  readonly id: string;
  /** Jobs that it believes it holds. */
  readonly running: Set<number>;
}

export class Session {
  readonly #both: Comparison;
  readonly #workers = [newWorker("worker 0"), newWorker("worker 1")];
  /** One that was thought dead, and may still write. */
  #zombie: Worker | undefined;

  constructor(both: Comparison) {
    this.#both = both;
  }

  /** @throws {Error} At the first difference. */
  async run(commands: readonly QueueCommand[]): Promise<void> {
    for (const command of commands) await this.#do(command);
    await this.#both.compareReports();
  }

  async #do(command: QueueCommand): Promise<void> {
    switch (command.do) {
      case "enqueue":
        return await this.#enqueue(command);
      case "claim":
        return await this.#claim(command);
      case "takeOver":
        return await this.#takeOver(command);
      case "lookAhead":
        return await this.#lookAhead(command);
      case "acknowledge":
      case "retry":
      case "release":
        return await this.#settle(command);
      case "releaseUnknown":
        return await this.#releaseUnknown(command);
      case "heartbeat":
        return await this.#heartbeat(command);
      case "cancel": {
        const ids = this.#idsOf(command.jobs);
        if (ids.length === 0) return;
        const found = await this.#both.ask(`cancel(${ids})`, ({ queries }) => queries.cancel(ids));
        return this.#both.compare(sorted(found), sorted(this.#both.model.cancel(ids)));
      }
      case "requeue": {
        const ids = sorted(this.#idsOf(command.jobs));
        if (ids.length === 0) return;
        const done = await this.#both.ask(`requeue(${ids})`, ({ queries }) => queries.requeue(ids));
        return this.#both.compare(done, this.#both.model.requeue(ids));
      }
      case "crash": {
        const worker = this.#worker(command.worker);
        this.#both.trace.push(`${worker.name} falls silent: from now on it is the zombie`);
        this.#zombie = { ...worker, name: "zombie" };
        const place = this.#workers.indexOf(worker);
        if (place >= 0) this.#workers[place] = newWorker(worker.name);
        return;
      }
      case "redeploy": {
        const { concurrencyLimit } = command;
        const name = ENTRYPOINTS[command.entrypoint]!;
        this.#both.trace.push(`redeploy ${name} with concurrencyLimit ${concurrencyLimit}`);
        this.#both.gates = this.#both.gates.map((gate) =>
          gate.entrypoint === name ? { ...gate, concurrencyLimit } : gate
        );
        return;
      }
      case "aggregate":
        await this.#both.ask("aggregate()", (real) => real.aggregate());
        return this.#both.compare(null, this.#both.model.log.aggregate());
      case "prune": {
        const { now, log } = this.#both.model;
        const title = `prune(${command.ageMs})`;
        const gone = await this.#both.ask(title, (real) => real.prune(command.ageMs));
        const wanted = [
          this.#both.model.pruneLog(command.ageMs),
          log.pruneStatistics(now - command.ageMs),
        ];
        return this.#both.compare(gone, wanted);
      }
      case "wait":
        return this.#both.pass(command.ms);
    }
  }

  async #enqueue({ jobs, onConflict, apart }: Of<"enqueue">): Promise<void> {
    const { model } = this.#both;
    const inputs = jobs.map(({ due, entrypoint, payload, ...job }) => ({
      ...job,
      entrypoint: ENTRYPOINTS[entrypoint]!,
      payload: payload === null ? null : new TextEncoder().encode(payload),
      executeAfter: "at" in due ? new Date(model.now + due.at) : due.after,
    }));
    const wanted = jobs.map(modelInput);
    const title = `${onConflict} of ${JSON.stringify(jobs)}`;
    if (apart) {
      const given = await this.#both.ask(
        `enqueue apart, ${title}`,
        (real) => real.enqueueApart(inputs, onConflict),
      );
      const each = wanted.map((input, index) => {
        const id = given[index];
        const ids = model.enqueue([input], onConflict, typeof id === "number" ? [id] : []);
        return typeof ids === "string" ? ids : ids[0];
      });
      return this.#both.compare(given, each);
    }
    const given = await this.#both.ask(
      `enqueue, ${title}`,
      (real) => real.enqueue(inputs, onConflict),
    );
    const ids = typeof given === "string" ? [] : given;
    this.#both.compare(given, model.enqueue(wanted, onConflict, ids));
  }

  async #claim({ worker, entrypoints, limit, counted, split }: Of<"claim">): Promise<void> {
    const { name, id, running } = this.#worker(worker);
    const gates = this.#gatesOf(entrypoints);
    const title = `${name}: claim(${limit}, ${counted}, ${names(gates)}, split at ${split})`;
    const jobs = await this.#both.ask(
      title,
      (real) => real.claim(limit, counted, split, gates, id),
    );
    for (const job of jobs) {
      running.add(job.id);
      this.#both.start(job.entrypoint);
    }
    const wanted = this.#both.model.claim(id, gates, { limit, counted });
    this.#both.compare(jobs.map(shownJob), wanted.map(modelJob));
  }

  async #takeOver({ worker, entrypoints, limit }: Of<"takeOver">): Promise<void> {
    const { name, id, running } = this.#worker(worker);
    const gates = this.#gatesOf(entrypoints);
    const own = new Set(running);
    const { claimed, canceled } = await this.#both.ask(
      `${name}: takeOver(${limit}, ${names(gates)}, running ${[...own]})`,
      (real) => real.takeOver(limit, gates, id, own),
    );
    for (const job of [...claimed, ...canceled]) running.add(job.id);
    const takeOvers = new Map(
      this.#both.state.jobs.map((row) => [row[COLUMN.id], row[COLUMN.takeOvers] as number]),
    );
    const isChosen = (id: number) => takeOvers.get(id)! > this.#both.model.jobs.get(id)!.takeOvers;
    const wanted = this.#both.model.takeOver(id, gates, limit, own, isChosen);
    this.#both.compare(
      [claimed.map(shownJob), canceled.map(shownJob)],
      [wanted.claimed.map(modelJob), wanted.canceled.map(modelJob)],
    );
  }

  async #lookAhead({ entrypoints }: Of<"lookAhead">): Promise<void> {
    const gates = this.#gatesOf(entrypoints);
    const title = `lookAhead(${names(gates)})`;
    const outlook = await this.#both.ask(title, (real) => real.lookAhead(gates));
    const faults = faultsOf(outlook, this.#both.model, gates, this.#both.model.now);
    this.#both.compare({ ...outlook, faults }, { ...outlook, faults: [] });
  }

  /** The end of attempts. Whatever the answer is, the worker is done with them. */
  async #settle(command: Of<"acknowledge" | "retry" | "release">): Promise<void> {
    const { name, id, running } = this.#worker(command.worker);
    const ids = this.#idsOf(command.jobs, running);
    if (ids.length === 0) return;
    for (const jobId of ids) running.delete(jobId);
    const { model } = this.#both;
    const title = `${name}: ${command.do}(${ids})`;
    switch (command.do) {
      case "acknowledge": {
        const { status } = command;
        const error = ["exception", "failed"].includes(status) ? "Error" : null;
        const done = await this.#both.ask(
          `${title} ${status}`,
          (real) => real.acknowledge(ids, status, error, id),
        );
        const wanted = model.acknowledge(id, ids, status, error);
        return this.#both.compare(sorted(done), sorted(wanted));
      }
      case "retry": {
        const { delayMs } = command;
        const done = await this.#both.ask(
          `${title} in ${delayMs} ms`,
          (real) => real.retry(ids, delayMs, "RetryRequested", id),
        );
        const wanted = model.retry(id, ids, delayMs, "RetryRequested");
        return this.#both.compare(sorted(done), sorted(wanted));
      }
      case "release": {
        const done = await this.#both.ask(title, (real) => real.release(ids, id));
        return this.#both.compare(sorted(done), sorted(model.release(id, ids)));
      }
    }
  }

  async #releaseUnknown({ worker, forgets }: Of<"releaseUnknown">): Promise<void> {
    const { name, id, running } = this.#worker(worker);
    if (forgets) running.clear();
    const title = `${name}: releaseUnknown(${[...running]})`;
    const done = await this.#both.ask(title, (real) => real.releaseUnknown(running, id));
    const wanted = this.#both.model.releaseUnknown(id, running);
    this.#both.compare(sorted(done), sorted(wanted));
  }

  async #heartbeat({ worker, jobs }: Of<"heartbeat">): Promise<void> {
    const { name, id, running } = this.#worker(worker);
    const ids = sorted(this.#idsOf(jobs, running));
    if (ids.length === 0) return;
    const leases = await this.#both.ask(
      `${name}: heartbeat(${ids})`,
      (real) => real.heartbeat(ids, id),
    );
    const held = leases.toSorted((one, other) => one.jobId - other.jobId);
    for (const jobId of ids) {
      if (!held.some((lease) => lease.jobId === jobId)) running.delete(jobId);
    }
    this.#both.compare(held, this.#both.model.heartbeat(id, ids));
  }

  #worker(place: number): Worker {
    return this.#workers[place] ?? this.#zombie ?? this.#workers[0]!;
  }

  #gatesOf(bits: number): Gate[] {
    return this.#both.gates.filter((_, index) => bits & 1 << index);
  }

  #idsOf({ of, places }: Choice, running: ReadonlySet<number> = new Set()): number[] {
    const { jobs, known } = this.#both.model;
    const ids = {
      mine: () => [...running],
      held: () =>
        [...jobs.values()].filter(({ status }) => status === "failed").map(({ id }) => id),
      there: () => [...jobs.keys()],
      all: () => [...known, NOBODY],
    }[of]();
    return ids.length === 0 ? [] : [...new Set(places.map((place) => ids[place % ids.length]!))];
  }
}

function newWorker(name: string): Worker {
  return { name, id: randomUUID(), running: new Set() };
}

function sorted(ids: readonly number[]): number[] {
  return ids.toSorted((one, other) => one - other);
}

function modelInput({ due, entrypoint, ...input }: InputCommand): ModelInput {
  return {
    ...input,
    entrypoint: ENTRYPOINTS[entrypoint]!,
    dueMs: "at" in due ? due.at : due.after,
  };
}

function names(gates: readonly Gate[]): string {
  return gates.map(({ entrypoint }) => entrypoint).join(" ");
}
