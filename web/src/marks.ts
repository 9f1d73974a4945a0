// Right and wrong: what a person says of results, and how it is taken back.
import type { Mark } from "./grid";
import type { Question } from "./state";

/** The question with a tile marked; the same mark again takes it back. */
export function toggleMark(question: Question, key: string, mark: Mark): Question {
  const other = mark === "right" ? "wrong" : "right";
  const own = question[mark];
  return {
    ...question,
    [mark]: own.includes(key) ? own.filter((marked) => marked !== key) : [...own, key],
    [other]: question[other].filter((marked) => marked !== key),
  };
}

export function markOf({ right, wrong }: Question, key: string): Mark | null {
  return right.includes(key) ? "right" : wrong.includes(key) ? "wrong" : null;
}

/** The tile marked last, as far as is known: after a link was opened, only which were marked. */
export function lastMarked(question: Question, order: string[]): string | undefined {
  return order.findLast((key) => markOf(question, key)) ?? question.wrong.at(-1) ?? question.right.at(-1);
}
