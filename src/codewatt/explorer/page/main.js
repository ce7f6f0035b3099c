// The page: opens tables, keeps the state, and fills the parts of the page again when it changes.

import { checkbox, element, saveText } from "./dom.js";
import { showChooser } from "./column_chooser.js";
import { drawPanel, firstFigure, showPanel } from "./figure_panel.js";
import { showFilters } from "./filter_bar.js";
import { firstView, hashTable, hashView, viewHash } from "./page_state.js";
import { readStudy, readTable } from "./parquet_data.js";
import { isConstant, selectRows } from "./row_selection.js";
import { PAGE_ROWS, showGrid, showPager } from "./table_grid.js";
import { csvText, labelText, shortText } from "./value_text.js";

const study = readStudy();
/** Table -> {study, info, table, first, view}, for each table that was opened. */
const opened = new Map();
let current = null;
let theme = "";
let rows = [];

const part = (id) => document.getElementById(id);

async function openTable(name, hash = "") {
  if (!opened.has(name)) {
    const info = study.tables.find((table) => table.name === name);
    const table = await readTable(name);
    for (const column of info.columns) table.values[column.name] ??= [];
    const first = firstView(table, info);
    opened.set(name, { study, info, table, first, view: hashView(hash, first, info) });
  } else if (hash) {
    const known = opened.get(name);
    known.view = hashView(hash, known.first, known.info);
  }
  current = opened.get(name);
  showTable();
}

function showTable() {
  const { info, table } = current;
  for (const tab of part("tabs").children) {
    const selected = tab.dataset.table === info.name;
    tab.setAttribute("aria-selected", selected);
    tab.tabIndex = selected ? 0 : -1;
  }
  part("panel").setAttribute("aria-labelledby", `tab-${info.name}`);
  part("rows-text").textContent = info.rows_text;
  part("chooser").hidden = true;
  showToolbar();
  showFilters(part("filters"), current, filterChanged);
  part("constants").replaceChildren(...constantsText(info, table));
  showFigure();
  showRows();
}

/** The settings that are the same in all rows, which the table does not repeat. */
function constantsText(info, table) {
  const joined = ["cell_id", "variant_id"];
  const same = info.columns.filter(
    ({ name, identity }) =>
      identity && !joined.includes(name) && table.length > 1 && isConstant(table.values[name]) && table.values[name][0] !== null,
  );
  if (!same.length) return [];
  const texts = same.map(({ name }) => `${name} ${labelText(study, name, table.values[name][0])}`);
  return [element("b", {}, "In all rows: "), texts.join("; ")];
}

function showToolbar() {
  const { info, table, view } = current;
  const search = element("input", {
    type: "search",
    id: "search",
    value: view.search,
    placeholder: "text in any column",
    on: { input: () => rowsChanged(() => (view.search = search.value)) },
  });
  const chooser = element("button", { type: "button", id: "choose", "aria-expanded": "false", on: { click: toggleChooser } });
  const figure = element(
    "button",
    { type: "button", id: "show-figure", "aria-expanded": String(Boolean(view.figure)), on: { click: toggleFigure } },
    "Figure",
  );
  const csv = (columns) => () => saveText(`${info.name}.csv`, "text/csv", csvText(table, columns(), rows));
  part("toolbar").replaceChildren(
    element("label", { class: "field", for: "search" }, element("span", {}, "Search"), search),
    chooser,
    figure,
    checkbox("intervals", view.intervals, (shown) => rowsChanged(() => (view.intervals = shown))),
    element("span", { class: "space" }),
    element("button", { type: "button", id: "csv", on: { click: csv(() => view.columns) } }, "CSV, shown columns"),
    element(
      "button",
      { type: "button", id: "csv-all", on: { click: csv(() => info.columns.map(({ name }) => name)) } },
      "CSV, all columns",
    ),
    element("button", { type: "button", id: "reset", on: { click: resetView } }, "Reset"),
  );
  chooser.textContent = chooserText();
}

function chooserText() {
  return `Columns (${current.view.columns.length} of ${current.info.columns.length})`;
}

function resetView() {
  current.view = { ...current.first, filters: [] };
  showTable();
}

function toggleChooser() {
  const panel = part("chooser");
  panel.hidden = !panel.hidden;
  part("choose").setAttribute("aria-expanded", String(!panel.hidden));
  if (!panel.hidden) fillChooser().search.focus();
}

function fillChooser() {
  const filled = showChooser(part("chooser"), current, current.first, (columns, again) => {
    current.view.columns = columns;
    part("choose").textContent = chooserText();
    if (again) fillChooser();
    showRows();
  });
  filled.close.addEventListener("click", () => {
    toggleChooser();
    part("choose").focus();
  });
  return filled;
}

function toggleFigure() {
  const { info, table, view } = current;
  view.figure = view.figure ? null : firstFigure(study, info, table, view);
  showToolbar();
  part("show-figure").focus();
  showFigure();
  showRows();
}

function showFigure() {
  const { view } = current;
  part("figure").hidden = !view.figure;
  if (!view.figure) return;
  showPanel(part("figure"), current, () => {
    const focused = [...part("figure").querySelectorAll("select, input")].indexOf(document.activeElement);
    showFigure();
    part("figure").querySelectorAll("select, input")[focused]?.focus();
    showRows();
  });
}

function filterChanged(again) {
  if (again) showFilters(part("filters"), current, filterChanged);
  rowsChanged(() => {});
}

/** Change what selects the rows: the first page of them is shown. */
function rowsChanged(change) {
  change();
  current.view.page = 0;
  showRows();
}

function showRows() {
  const { info, table, view } = current;
  rows = selectRows(table, view, info.columns);
  view.page = Math.min(view.page, Math.max(0, Math.ceil(rows.length / PAGE_ROWS) - 1));
  showGrid(part("grid"), current, rows, (sort) => {
    const column = (sort ?? view.sort).column;
    rowsChanged(() => (view.sort = sort));
    part("grid").querySelector(`th[data-column="${CSS.escape(column)}"] button`)?.focus();
  });
  showPager(part("pager"), view, rows.length, (page) => {
    view.page = page;
    showRows();
    part("grid").focus();
  });
  part("count").textContent = `${shortText(rows.length)} of ${shortText(table.length)} rows`;
  if (view.figure) drawPanel(part("figure"), current, rows, shownTheme(), showRow);
  keepState();
}

/** Show a row of the figure in the table. */
function showRow(row) {
  const { view } = current;
  const page = Math.floor(rows.indexOf(row) / PAGE_ROWS);
  if (page !== view.page) {
    view.page = page;
    showRows();
  }
  for (const shown of part("grid").querySelectorAll("tr[data-row]")) {
    const picked = Number(shown.dataset.row) === row;
    shown.classList.toggle("picked", picked);
    if (picked) shown.scrollIntoView({ block: "center" });
  }
}

function keepState() {
  const { info, view, first } = current;
  const hash = viewHash(info.name, view, first, theme);
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

function shownTheme() {
  return theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function showTheme() {
  document.documentElement.dataset.theme = shownTheme();
  part("theme").textContent = shownTheme() === "dark" ? "Light colours" : "Dark colours";
}

function showTabs() {
  const tabs = study.tables.map(({ name, rows: count, embedded }) =>
    element(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": "panel",
        "aria-selected": "false",
        tabindex: -1,
        "data-table": name,
        disabled: !embedded,
        on: { click: () => openTable(name) },
      },
      tabTitle(name),
      element("span", { class: "soft" }, ` ${shortText(count)}`),
    ),
  );
  part("tabs").replaceChildren(...tabs);
  const large = study.tables.filter(({ embedded }) => !embedded).map(({ file }) => file);
  part("left-out").hidden = !large.length;
  part("left-out").textContent = `Too large for this page: ${large.join(", ")}.`;
  part("tabs").addEventListener("keydown", (event) => {
    const usable = tabs.filter((tab) => !tab.disabled);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = usable[(usable.indexOf(document.activeElement) + step + usable.length) % usable.length];
    next.focus();
    next.click();
  });
}

function tabTitle(name) {
  const words = name.replaceAll("_", " ");
  return `${words[0].toUpperCase()}${words.slice(1)}s`;
}

function showAbout() {
  const sources = study.tables.map(({ name, file, bytes, sha256, rows: count, columns, embedded }) =>
    element(
      "tr",
      {},
      ...[name, file, count, columns.length, bytes].map((value) => element("td", {}, shortText(value))),
      element("td", {}, element("code", {}, sha256)),
      element("td", {}, embedded ? "in this page" : "too large for this page"),
    ),
  );
  const head = ["table", "file", "rows", "columns", "bytes", "sha256", ""].map((text) => element("th", {}, text));
  part("about").replaceChildren(element("div", { class: "wide" }, element("table", {}, element("tr", {}, ...head), ...sources)));
}

function start() {
  const asked = hashTable(location.hash, study);
  theme = asked.theme;
  showTheme();
  showTabs();
  showAbout();
  part("theme").addEventListener("click", () => {
    theme = shownTheme() === "dark" ? "light" : "dark";
    showTheme();
    showRows();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    showTheme();
    showRows();
  });
  addEventListener("hashchange", () => {
    const { table } = hashTable(location.hash, study);
    if (table) openTable(table, location.hash);
  });
  addEventListener("resize", () => {
    if (current?.view.figure) drawPanel(part("figure"), current, rows, shownTheme(), showRow);
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !part("chooser").hidden) {
      toggleChooser();
      part("choose").focus();
    }
  });
  const name = asked.table ?? study.tables.find(({ embedded }) => embedded)?.name;
  if (name) openTable(name, location.hash);
  else part("count").textContent = "The page contains no table; all are in the folder tables.";
}

start();
