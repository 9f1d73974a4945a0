import { getHealth } from "./api";
import type { Trouble } from "./results";

const PAUSE_MS = 1000;

/** Waits until the service can search, and says meanwhile why it cannot; returns its version. */
export async function waitUntilReady(say: (trouble: Trouble | null) => void): Promise<string> {
  for (;;) {
    const health = await getHealth().catch((error: unknown) => error as Error);
    if (!(health instanceof Error) && health.status === "ready") {
      say(null);
      return health.version;
    }
    say({ text: health instanceof Error ? health.message : WORDS[health.status === "failed" ? "failed" : "warming"] });
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}

const WORDS = {
  failed: "The service could not load its model; its log says why.",
  warming: "The service is loading its model; this takes a few seconds.",
};
