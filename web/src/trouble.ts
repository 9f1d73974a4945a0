// What went wrong, in words, and what can be done: the service is asked again by itself when it says when.
import { ApiError } from "./api";
import type { Results } from "./results";

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
      ? "The picture of this search is no longer kept by the service: a link does not carry pictures. Drop it here again."
      : error.message;
  const act = (): void => {
    clearTimeout(timer);
    results.showTrouble(null);
    options.again();
  };
  const waits = error.retryAfterS !== null && options.tries < MOST_TRIES;
  const timer = waits ? window.setTimeout(act, (error.retryAfterS ?? 1) * 1000) : 0;
  const told = waits ? `${text} Trying again in ${error.retryAfterS} s.` : text;
  results.showTrouble({ text: told, action: "Try now", act });
}
