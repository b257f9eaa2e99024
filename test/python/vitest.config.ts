import type { ViteUserConfig } from "vitest/config";
import base from "../vitest.config.ts";

/** The tests beside the Python project have names of their own, so that no other runner takes them for its own. */
const config: ViteUserConfig = {
  ...base,
  test: { ...base.test, include: ["**/*.mixed.ts"] },
};
export default config;
