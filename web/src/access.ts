import { ApiError } from "./api";
import { askForKey } from "./dialogs";
import { sayError } from "./said";

/** Runs something, and again with a key for as long as the service asks for one and one is given. */
export async function callWithKey<T>(act: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      const asksForKey = error instanceof ApiError && error.status === 401;
      if (!asksForKey || !(await askForKey(sayError(error, "")))) throw error;
    }
  }
}
