// The table: head with sort buttons, rows, and the pager.

import { breakable, element, withTooltip } from "./dom.js";
import { exactText, intervalText, labelText, shortText } from "./value_text.js";

export const PAGE_ROWS = 200;
const SORT_MARKS = { ascending: " ▲", descending: " ▼" };

/** Fill the table with a page of the selected rows. */
export function showGrid(grid, context, rows, changed) {
  const { info, view } = context;
  const known = new Map(info.columns.map((column) => [column.name, column]));
  const columns = view.columns.map((name) => known.get(name));
  const start = view.page * PAGE_ROWS;
  const head = element("tr", {}, ...columns.map((column) => headCell(column, view, changed)));
  const body = rows
    .slice(start, start + PAGE_ROWS)
    .map((row) => element("tr", { "data-row": row, class: rowClass(context, row) }, ...columns.map((column) => bodyCell(column, context, row))));
  grid.replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
  if (!rows.length) {
    const text = context.table.length ? "No row matches the filters." : "This table has no rows.";
    grid.append(element("p", { class: "soft empty" }, text));
  }
}

function headCell(column, view, changed) {
  const order = view.sort?.column === column.name ? (view.sort.descending ? "descending" : "ascending") : null;
  const next = { ascending: { column: column.name, descending: true }, descending: null };
  const button = element(
    "button",
    { type: "button", on: { click: () => changed(order ? next[order] : { column: column.name, descending: false }) } },
    element("span", {}, ...breakable(column.name), SORT_MARKS[order] ?? ""),
    column.unit ? element("span", { class: "unit" }, column.unit) : null,
  );
  withTooltip(button, () => [column.name, column.meaning, column.unit ? `Unit: ${column.unit}` : "", column.interval ? `95 % confidence interval: ${column.interval.join(", ")}` : ""]);
  return element("th", { scope: "col", "aria-sort": order ?? "none", class: isNumber(column) ? "n" : null, "data-column": column.name }, button);
}

function bodyCell(column, { study, table, view }, row) {
  const value = table.values[column.name][row];
  const label = labelText(study, column.name, value);
  const exact = exactText(value);
  const shown = shortText(value);
  const interval = view.intervals && column.interval ? intervalText(...column.interval.map((end) => table.values[end][row])) : "";
  const classes = [isNumber(column) ? "n" : "", value === null ? "absent" : "", exact.length > 60 ? "long" : exact.length > 30 ? "medium" : ""];
  return element(
    "td",
    {
      class: classes.filter(Boolean).join(" ") || null,
      "data-value": value === null ? null : exact,
      title: value === null ? "absent" : label !== shown ? label : shown !== exact ? exact : null,
    },
    shown,
    interval ? element("span", { class: "interval" }, interval) : null,
  );
}

function isNumber({ type }) {
  return type === "integer" || type === "real";
}

function rowClass({ table }, row) {
  const { valid, passed } = table.values;
  return valid?.[row] === false || passed?.[row] === false ? "failed" : null;
}

/** Fill the pager: nothing if all rows are on one page. */
export function showPager(pager, view, count, changed) {
  const pages = Math.ceil(count / PAGE_ROWS);
  const button = (text, page) =>
    element("button", { type: "button", disabled: page < 0 || page >= pages, on: { click: () => changed(page) } }, text);
  pager.replaceChildren(
    ...(pages > 1
      ? [button("Previous", view.page - 1), `Page ${view.page + 1} of ${pages}`, button("Next", view.page + 1)]
      : []),
  );
}
