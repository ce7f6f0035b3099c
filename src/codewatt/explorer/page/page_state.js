// The state of the page: which table, its columns, order, filters and figure. The part after # of
// the address keeps it, so that a copied address opens the same view.

/** How a table is shown at first. */
export function firstView(table, info) {
  const shown = info.default_columns.filter((name) => {
    const values = table.values[name];
    const column = info.columns.find((candidate) => candidate.name === name);
    if (values.every((value) => value === null)) return false;
    return !column.identity || values.some((value) => value !== values[0]);
  });
  const columns = shown.length ? shown : info.default_columns.slice(0, 12);
  return {
    columns,
    sort: null,
    search: "",
    filters: [],
    intervals: true,
    page: 0,
    figure: null,
  };
}

/** The hash of a view; what is as at first is left out. */
export function viewHash(name, view, first, theme) {
  const parts = new URLSearchParams({ table: name });
  if (theme) parts.set("theme", theme);
  if (view.columns.join() !== first.columns.join()) parts.set("columns", view.columns.join());
  if (view.sort) parts.set("sort", `${view.sort.column}${view.sort.descending ? ":desc" : ""}`);
  if (view.search) parts.set("search", view.search);
  if (!view.intervals) parts.set("intervals", "no");
  for (const { column, kind, ...rest } of view.filters) {
    parts.append("filter", JSON.stringify([column, kind, rest]));
  }
  if (view.figure) parts.set("figure", JSON.stringify(view.figure));
  if (view.page) parts.set("page", String(view.page + 1));
  return `#${parts}`;
}

/** {table, theme} of a hash: the table that it names, if the page has it. */
export function hashTable(hash, study) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const named = study.tables.find(({ name, embedded }) => embedded && name === parts.get("table"));
  const theme = ["light", "dark"].find((known) => known === parts.get("theme"));
  return { table: named?.name ?? null, theme: theme ?? "" };
}

/** A hash's view of a table; parts that do not fit the table are ignored. */
export function hashView(hash, first, info) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const known = new Map(info.columns.map((column) => [column.name, column]));
  const view = { ...first, filters: [] };
  const columns = (parts.get("columns") ?? "").split(",").filter((name) => known.has(name));
  if (columns.length) view.columns = [...new Set(columns)];
  const [sorted, direction] = (parts.get("sort") ?? "").split(":");
  if (known.has(sorted)) view.sort = { column: sorted, descending: direction === "desc" };
  view.search = parts.get("search") ?? "";
  view.intervals = parts.get("intervals") !== "no";
  view.page = Math.max(0, (Number.parseInt(parts.get("page"), 10) || 1) - 1);
  for (const text of parts.getAll("filter")) {
    const filter = parsedFilter(parsedJson(text), known);
    if (filter) view.filters.push(filter);
  }
  view.figure = parsedFigure(parsedJson(parts.get("figure")), known);
  return view;
}

function parsedJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function parsedFilter(parts, known) {
  if (!Array.isArray(parts) || !known.has(parts[0])) return null;
  const [column, kind, rest] = parts;
  const number = (value) => (typeof value === "number" ? value : null);
  if (kind === "range") {
    return { column, kind, low: number(rest?.low), high: number(rest?.high) };
  }
  if (kind === "text") return { column, kind, text: String(rest?.text ?? "") };
  if (kind === "values" && Array.isArray(rest?.values)) return { column, kind, values: rest.values };
  return null;
}

function parsedFigure(figure, known) {
  if (!figure || !known.has(figure.y)) return null;
  const column = (name) => (known.has(name) ? name : "");
  return {
    kind: figure.kind === "bars" ? "bars" : "scatter",
    x: column(figure.x) || figure.y,
    y: figure.y,
    colour: column(figure.colour),
    shape: column(figure.shape),
    logX: figure.logX === true,
    logY: figure.logY === true,
  };
}
