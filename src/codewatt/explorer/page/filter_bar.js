// Filters of columns: a range for numbers, allowed values where there are few, else a text.

import { element, selectElement } from "./dom.js";
import { distinctValues } from "./row_selection.js";
import { ABSENT, exactText, labelText, shortText } from "./value_text.js";

/** With more different values a column is filtered by a text that its values contain. */
const MOST_VALUES = 24;

/** A filter of a column that still lets every row through. */
export function newFilter(column, table) {
  const values = table.values[column.name];
  if (column.type === "real") return { column: column.name, kind: "range", low: null, high: null };
  const found = distinctValues(values);
  if (found.length <= MOST_VALUES) return { column: column.name, kind: "values", values: found };
  if (column.type === "integer") return { column: column.name, kind: "range", low: null, high: null };
  return { column: column.name, kind: "text", text: "" };
}

/** Fill the bar. `changed(again)`: a filter has changed; again: the bar must be filled again. */
export function showFilters(bar, context, changed) {
  const { info, table, view } = context;
  const remove = (filter) => () => {
    view.filters = view.filters.filter((other) => other !== filter);
    changed(true);
  };
  const parts = view.filters.map((filter) => {
    const column = info.columns.find(({ name }) => name === filter.column);
    const close = element(
      "button",
      { type: "button", class: "remove", "aria-label": `Remove the filter of ${filter.column}`, on: { click: remove(filter) } },
      "×",
    );
    const inputs = { range: rangeInputs, text: textInput, values: valueInputs }[filter.kind];
    return element(
      "fieldset",
      { class: "filter", "data-column": filter.column },
      element("legend", {}, filter.column),
      ...inputs(filter, column, table, context.study, () => changed(false)),
      close,
    );
  });
  bar.replaceChildren(...parts, columnSelect(context, changed));
}

function columnSelect({ study, info, table, view }, changed) {
  const pair = ({ name }) => [name, name];
  const useful = info.columns.filter(({ name }) => table.values[name].some((value) => value !== null));
  const choices = { "": [["", "Add a filter …"]] };
  choices["Shown columns"] = useful.filter(({ name }) => view.columns.includes(name)).map(pair);
  for (const title of study.groups) {
    choices[title] = useful.filter(({ name, group }) => group === title && !view.columns.includes(name)).map(pair);
  }
  const select = selectElement("Filter", choices, "", (name) => {
    const column = info.columns.find((candidate) => candidate.name === name);
    if (!column) return;
    view.filters.push(newFilter(column, table));
    changed(true);
  });
  select.classList.add("add-filter");
  return select;
}

function rangeInputs(filter, column, table, study, changed) {
  const present = table.values[column.name].filter((value) => value !== null).map(Number);
  const [low, high] = [present.reduce((a, b) => Math.min(a, b), Infinity), present.reduce((a, b) => Math.max(a, b), -Infinity)];
  const input = (end, word, observed) => {
    const field = element("input", {
      type: "number",
      step: "any",
      value: filter[end] ?? "",
      placeholder: present.length ? shortText(observed) : "",
      "aria-label": `${column.name}: ${word}`,
      on: {
        input: () => {
          filter[end] = field.value === "" ? null : field.valueAsNumber;
          changed();
        },
      },
    });
    return element("label", {}, `${word} `, field);
  };
  return [input("low", "from", low), input("high", "to", high), element("span", { class: "soft" }, column.unit)];
}

function textInput(filter, column, table, study, changed) {
  const field = element("input", {
    type: "text",
    value: filter.text,
    "aria-label": `${column.name}: contains`,
    on: {
      input: () => {
        filter.text = field.value;
        changed();
      },
    },
  });
  return [element("label", {}, "contains ", field)];
}

function valueInputs(filter, column, table, study, changed) {
  return distinctValues(table.values[column.name]).map((value) => {
    const input = element("input", {
      type: "checkbox",
      checked: filter.values.includes(value),
      on: {
        change: () => {
          const others = filter.values.filter((other) => other !== value);
          filter.values = input.checked ? [...others, value] : others;
          changed();
        },
      },
    });
    const label = labelText(study, column.name, value);
    const text = value === null ? `${ABSENT} (absent)` : exactText(value);
    return element("label", { class: "check", title: label === text ? null : label }, input, text);
  });
}
