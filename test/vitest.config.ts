import { fileURLToPath } from "node:url";
import type { ViteUserConfig } from "vitest/config";

/** Lets the tests import "pgqueuer" as a user does: `paths` of tsconfig.json says where it is. */
const config: ViteUserConfig = {
  root: fileURLToPath(new URL("..", import.meta.url)),
  resolve: { tsconfigPaths: true },
};
export default config;
