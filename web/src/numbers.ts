// Numbers, days and lists as the chosen language writes them.

let locale = "en-GB";
let made = new Map<string, unknown>();

/** Takes a language with its region, such as `es-MX`. */
export function setLocale(chosen: string): void {
  locale = chosen;
  made = new Map();
}

/** What formats for the chosen language, made once. */
function keep<T>(name: string, make: () => T): T {
  if (!made.has(name)) made.set(name, make());
  return made.get(name) as T;
}

export const count = (value: number): string => keep("count", () => new Intl.NumberFormat(locale)).format(value);

/** A number with as many digits behind the point as told. */
export const fixed = (value: number, digits: number): string =>
  keep(
    `fixed ${digits}`,
    () => new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  ).format(value);

/** A number of so many significant digits at most, small ones in full. */
export const digits = (value: number, most = 3): string =>
  keep(`digits ${most}`, () => new Intl.NumberFormat(locale, { maximumFractionDigits: 6 })).format(
    Number(value.toPrecision(most)),
  );

export const percent = (part: number): string =>
  keep("percent", () => new Intl.NumberFormat(locale, { style: "percent" })).format(part);

type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

/** A count with its word: `plural(2, { one: "tile", other: "tiles" })` is "2 tiles". */
export function plural(value: number, forms: Forms): string {
  return `${count(value)} ${form(value, forms)}`;
}

/** The word that goes with a count, without the count. */
export function form(value: number, forms: Forms): string {
  return forms[keep("plural", () => new Intl.PluralRules(locale)).select(value)] ?? forms.other;
}

export const day = (date: Date): string =>
  keep(
    "day",
    () => new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }),
  ).format(date);

/** "a, b and c", as the language joins them. */
export const list = (items: string[]): string =>
  keep("list", () => new Intl.ListFormat(locale, { type: "conjunction" })).format(items);

/** "a, b or c". */
export const either = (items: string[]): string =>
  keep("either", () => new Intl.ListFormat(locale, { type: "disjunction" })).format(items);
