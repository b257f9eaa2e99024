// What `--import tsx` does for the main thread only: Node 20 runs TypeScript in every thread.
import { register } from "tsx/esm/api";

register();
