#!/usr/bin/env node
/**
 * The command line: `pgq --help` lists its commands.
 *
 * @module
 */
import process from "node:process";
import { exit, main } from "./src/cli/main.ts";

export type { FactoryContext } from "./src/worker_factory.ts";

await exit(await main(process.argv.slice(2), import.meta.url));
