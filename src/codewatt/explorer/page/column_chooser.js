// The panel in which columns are chosen: in groups, with search, with what each column means.

import { element } from "./dom.js";

/** Fill the panel. `changed` gets the new list of shown columns. */
export function showChooser(panel, { study, info, table, view }, first, changed) {
  const search = element("input", {
    type: "search",
    id: "column-search",
    placeholder: "name or meaning, e.g. j_per_token",
    on: { input: () => narrow(panel, search.value) },
  });
  const groups = study.groups
    .map((title) => [title, info.columns.filter(({ group }) => group === title)])
    .filter(([, columns]) => columns.length)
    .map(([title, columns]) => groupPart(title, columns, table, view, changed));
  const close = element("button", { type: "button", class: "close" }, "Close");
  panel.replaceChildren(
    element(
      "div",
      { class: "chooser-head" },
      element("label", { class: "field", for: "column-search" }, element("span", {}, "Search columns"), search),
      element("button", { type: "button", on: { click: () => changed([...first.columns], true) } }, "Default columns"),
      close,
    ),
    element("div", { class: "chooser-groups" }, ...groups),
    element("p", { class: "soft none", hidden: true }, "No column matches."),
  );
  return { search, close };
}

function groupPart(title, columns, table, view, changed) {
  const parts = columns.map((column) => columnPart(column, table, view, changed));
  const open = columns.some(({ name }) => view.columns.includes(name));
  return element(
    "details",
    { class: "chooser-group", open },
    element("summary", {}, `${title} `, element("span", { class: "soft" }, String(columns.length))),
    ...parts,
  );
}

function columnPart({ name, unit, meaning }, table, view, changed) {
  const absent = table.values[name].every((value) => value === null);
  const input = element("input", {
    type: "checkbox",
    value: name,
    checked: view.columns.includes(name),
    on: { change: () => changed(toggled(view.columns, name, input.checked)) },
  });
  const remarks = [unit, absent ? "no value in this study" : ""].filter(Boolean).join("; ");
  return element(
    "label",
    { class: absent ? "choice all-absent" : "choice", "data-search": `${name} ${meaning}`.toLowerCase() },
    input,
    element(
      "span",
      {},
      element("code", {}, name),
      remarks ? element("span", { class: "soft" }, ` (${remarks})`) : null,
      element("span", { class: "meaning" }, meaning),
    ),
  );
}

/** A chosen column comes last; one that is chosen no more leaves its place. */
function toggled(columns, name, chosen) {
  const others = columns.filter((other) => other !== name);
  return chosen ? [...others, name] : others;
}

function narrow(panel, text) {
  const wanted = text.trim().toLowerCase();
  let found = 0;
  for (const group of panel.querySelectorAll(".chooser-group")) {
    let matching = 0;
    for (const choice of group.querySelectorAll(".choice")) {
      const matches = !wanted || choice.dataset.search.includes(wanted);
      choice.hidden = !matches;
      matching += matches;
    }
    group.hidden = !matching;
    if (wanted) group.open = matching > 0;
    found += matching;
  }
  panel.querySelector(".none").hidden = found > 0;
}
