// What went wrong, in words, and what can be done: the service is asked again by itself when it says when.
import { ApiError } from "./api";
import { texts } from "./language";
import type { Results } from "./results";
import { join, sayError } from "./said";

const MOST_TRIES = 5;
const GONE = [404, 410];

/** Shows an error of the service; `again` repeats what failed for the time after `tries`. Other errors are bugs. */
export function showError(
  results: Results,
  error: unknown,
  options: { again: () => void; tries: number; withPicture: boolean },
): void {
  if (!(error instanceof ApiError)) throw error;
  const text =
    options.withPicture && GONE.includes(error.status)
      ? texts.trouble.pictureGone
      : sayError(error, "", { alone: true });
  const act = (): void => {
    clearTimeout(timer);
    results.showTrouble(null);
    options.again();
  };
  const isAbsent = error.status === 0 || error.status === 503; // it may be ready at any time
  const waits = error.retryAfterS !== null && (isAbsent || options.tries < MOST_TRIES);
  const timer = waits ? window.setTimeout(act, (error.retryAfterS ?? 1) * 1000) : 0;
  const told = waits ? join(text, " ", texts.trouble.again(error.retryAfterS ?? 1)) : text;
  // What the service calls a mistake stays one, however often it is asked.
  const mayPass = waits || [401, 429, ...GONE].includes(error.status) || error.status >= 500;
  results.showTrouble(mayPass ? { text: told, action: texts.trouble.tryNow, act } : { text: told });
}
