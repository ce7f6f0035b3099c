// Values as text: four significant digits on the page, all digits in tooltips and in CSV.

export const ABSENT = "–";
const MINUS = "−";

/** A value as the table and the figures show it. */
export function shortText(value) {
  if (value === null) return ABSENT;
  if (typeof value === "bigint") return shortNumber(Number(value));
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  return shortNumber(value);
}

/** A value at an axis: without zeros at its end. */
export function tickText(value) {
  const text = shortText(value);
  return text.includes(".") && !text.includes("×") ? text.replace(/\.?0+$/, "") : text;
}

/** A value with all its digits; the empty text where it is absent. */
export function exactText(value) {
  return value === null ? "" : String(value);
}

/** "low to high" of an interval; the empty text where an end is absent. */
export function intervalText(low, high) {
  return low === null || high === null ? "" : `[${shortText(low)}, ${shortText(high)}]`;
}

function shortNumber(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e9) return grouped(String(value));
  if (size < 1e-4 || size >= 1e7) {
    const [digits, exponent] = value.toExponential(3).split("e");
    return `${signed(digits)}×10${raised(Number(exponent))}`;
  }
  const decimals = Math.max(0, 3 - Math.floor(Math.log10(size)));
  return grouped(value.toFixed(Math.min(decimals, 7)));
}

/** Thousands apart by a narrow space, from five digits on. */
function grouped(text) {
  const [whole, fraction] = text.split(".");
  const digits = whole.replace("-", "");
  const apart = digits.length > 4 ? digits.replace(/\B(?=(\d{3})+$)/g, "\u202f") : digits;
  return `${whole.startsWith("-") ? MINUS : ""}${apart}${fraction ? `.${fraction}` : ""}`;
}

function signed(text) {
  return text.replace("-", MINUS);
}

function raised(exponent) {
  const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹";
  const text = String(Math.abs(exponent)).replace(/\d/g, (digit) => digits[Number(digit)]);
  return exponent < 0 ? `⁻${text}` : text;
}

/** Rows of a table as CSV (RFC 4180), with the values' exact text. */
export function csvText(table, columns, rows) {
  const line = (fields) => `${fields.map(csvField).join(",")}\r\n`;
  const body = rows.map((row) => line(columns.map((name) => exactText(table.values[name][row]))));
  return line(columns) + body.join("");
}

function csvField(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The study's label of a value, or the value; columns of ids have labels. */
export function labelText(study, column, value) {
  if (value === null) return ABSENT;
  const labels = study.labels[column];
  return labels && Object.hasOwn(labels, value) ? labels[value] : shortText(value);
}
