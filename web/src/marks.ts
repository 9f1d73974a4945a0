// Right and wrong: what a person says of results and of tiles on the map, and how it is taken back.
import type { Mark } from "./grid";
import type { Question } from "./state";

/** The question with tiles marked; the same mark again, of all of them, takes it back. */
export function toggleMarks(question: Question, keys: string[], mark: Mark): Question {
  const other = mark === "right" ? "wrong" : "right";
  const others = question[mark].filter((marked) => !keys.includes(marked));
  return {
    ...question,
    [mark]: areMarked(question, keys, mark) ? others : [...others, ...keys],
    [other]: question[other].filter((marked) => !keys.includes(marked)),
  };
}

export function areMarked(question: Question, keys: string[], mark: Mark): boolean {
  return keys.every((key) => markOf(question, key) === mark);
}

export function markOf({ right, wrong }: Question, key: string): Mark | null {
  return right.includes(key) ? "right" : wrong.includes(key) ? "wrong" : null;
}

/** The tiles marked last in one go, as far as is known: after a link was opened, only which were marked. */
export function lastMarked(question: Question, order: string[][]): string[] {
  const known = order.findLast((keys) => keys.some((key) => markOf(question, key))) ?? [];
  const last = known.filter((key) => markOf(question, key) === markOf(question, known.at(-1)!));
  if (last.length) return last;
  return [question.wrong.at(-1) ?? question.right.at(-1) ?? []].flat();
}
