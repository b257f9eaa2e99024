import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Lets the tests import "pgqueuer" as a user does: `paths` of tsconfig.json says where it is. */
// deno-lint-ignore no-default-export -- vitest asks for it.
export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  resolve: { tsconfigPaths: true },
});
