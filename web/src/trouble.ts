// What went wrong, in words, and what can be done: the service is asked again by itself when it says when.
import { ApiError } from "./api";
import type { Results } from "./results";

const MOST_TRIES = 5;
const GONE = [404, 410];

const capitalise = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

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
  const isAbsent = error.status === 0 || error.status === 503; // it may be ready at any time
  const waits = error.retryAfterS !== null && (isAbsent || options.tries < MOST_TRIES);
  const timer = waits ? window.setTimeout(act, (error.retryAfterS ?? 1) * 1000) : 0;
  const told = waits ? `${text} Trying again in ${error.retryAfterS} s.` : text;
  // What the service calls a mistake stays one, however often it is asked.
  const mayPass = waits || [401, 429, ...GONE].includes(error.status) || error.status >= 500;
  results.showTrouble(mayPass ? { text: told, action: "Try now", act } : { text: capitalise(told) });
}
