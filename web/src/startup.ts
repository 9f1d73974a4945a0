import { getHealth } from "./api";
import { texts } from "./language";
import type { Trouble } from "./results";
import { sayError } from "./said";

const PAUSE_MS = 1000;

/** Waits until the service can search, and says meanwhile why it cannot; returns its version. */
export async function waitUntilReady(say: (trouble: Trouble | null) => void): Promise<string> {
  for (;;) {
    const health = await getHealth().catch((error: unknown) => error as Error);
    if (!(health instanceof Error) && health.status === "ready") {
      say(null);
      return health.version;
    }
    const { failed, warming, unanswered } = texts.trouble;
    const waits = !(health instanceof Error) && (health.status === "failed" ? failed : warming);
    say({ text: waits || sayError(health, unanswered) });
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}
