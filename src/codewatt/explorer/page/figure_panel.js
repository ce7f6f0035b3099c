// The figure above the table: its settings, and what the pointer and the keyboard do in it.

import { checkbox, element, saveText, selectElement, withTooltip } from "./dom.js";
import { drawFigure, MOST_BARS, rowName } from "./figure_drawing.js";
import { categoryColumns, THEMES } from "./figure_marks.js";
import { intervalText, shortText } from "./value_text.js";

const PREFERRED = {
  x: ["energy_j_geomean", "energy_j", "size_bytes", "observed", "latency_s"],
  y: ["pass_at_1_plus", "pass_at_1_base", "estimate", "perplexity", "tokens_per_s", "limit", "energy_j"],
  colour: ["precision", "prune", "model", "metric", "name"],
  shape: ["model", "prune", "benchmark"],
};

/** The figure that a table has at first, or null if no column of it has numbers. */
export function firstFigure(study, info, table, view) {
  const numbers = numberColumns(info, table).map(({ name }) => name);
  if (!numbers.length) return null;
  const shown = view.columns.filter((name) => numbers.includes(name));
  const preferred = (names, others) => [...names, ...others].find((name) => numbers.includes(name));
  const y = preferred(PREFERRED.y, [...shown, ...numbers]);
  const x = preferred(PREFERRED.x.filter((name) => name !== y), [...shown, ...numbers].filter((name) => name !== y));
  const categories = categoryColumns(study, info, table).map(({ name }) => name);
  const colour = PREFERRED.colour.find((name) => categories.includes(name)) ?? "";
  const shape = PREFERRED.shape.find((name) => name !== colour && categories.includes(name)) ?? "";
  const kind = x ? "scatter" : "bars";
  return { kind, x: x ?? y, y, colour, shape, logX: false, logY: false };
}

function numberColumns(info, table) {
  return info.columns.filter(
    ({ name, type }) =>
      (type === "real" || type === "integer") && table.values[name].some((value) => value !== null),
  );
}

/** Fill the figure's section: settings, and the drawing that `drawPanel` makes. */
export function showPanel(section, context, changed) {
  const { study, info, table, view } = context;
  const { figure } = view;
  const numbers = numberColumns(info, table);
  const pair = ({ name }) => [name, name];
  const grouped = { "Shown columns": numbers.filter(({ name }) => view.columns.includes(name)).map(pair) };
  const rest = numbers.filter(({ name }) => !view.columns.includes(name));
  for (const title of study.groups) {
    grouped[title] = rest.filter(({ group }) => group === title).map(pair);
  }
  const categories = [["", "none"], ...categoryColumns(study, info, table).map(pair)];
  const set = (name) => (value) => {
    figure[name] = value;
    changed();
  };
  const bars = figure.kind === "bars";
  section.replaceChildren(
    element(
      "div",
      { class: "figure-settings" },
      selectElement("Figure", [["scatter", "scatter"], ["bars", "bars"]], figure.kind, set("kind")),
      bars ? null : selectElement("Horizontal", grouped, figure.x, set("x")),
      selectElement(bars ? "Length" : "Vertical", grouped, figure.y, set("y")),
      selectElement("Colour", categories, figure.colour, set("colour")),
      bars ? null : selectElement("Shape", categories, figure.shape, set("shape")),
      bars ? null : checkbox("log x", figure.logX, set("logX")),
      bars ? null : checkbox("log y", figure.logY, set("logY")),
      element("button", { type: "button", class: "save-figure" }, "Save as SVG"),
    ),
    element("div", { class: "drawing" }),
    element("p", { class: "soft figure-note" }),
  );
}

/** Draw the figure of the selected rows into the section that `showPanel` filled. */
export function drawPanel(section, context, rows, themeName, pick) {
  const { figure } = context.view;
  const drawing = section.querySelector(".drawing");
  const width = Math.max(340, Math.min(section.clientWidth - 28, 1400));
  const drawn = drawFigure({ ...context, rows, figure, width, theme: THEMES[themeName] });
  const what = figure.kind === "bars" ? figure.y : `${figure.y} against ${figure.x}`;
  drawn.svg.setAttribute("role", "group");
  drawn.svg.setAttribute("aria-label", `${what}, ${drawn.drawn.length} rows of the table`);
  drawing.replaceChildren(drawn.svg);
  makeMarksReachable(drawn.svg, context, figure, pick);
  section.querySelector(".figure-note").textContent = noteText(context, figure, rows.length, drawn);
  section.querySelector(".save-figure").onclick = () => {
    const printed = drawFigure({ ...context, rows, figure, width, theme: THEMES.light });
    const text = new XMLSerializer().serializeToString(printed.svg);
    saveText(`${context.table.name}-${figure.y}.svg`, "image/svg+xml", text);
  };
}

function noteText({ info, view }, figure, selected, { drawn, left }) {
  const names = figure.kind === "bars" ? [figure.y] : [figure.x, figure.y];
  const hasInterval = (name) => info.columns.find((column) => column.name === name).interval;
  const intervals = view.intervals ? names.filter(hasInterval) : [];
  const parts = [`${drawn.length} of ${selected} selected rows are drawn.`];
  if (left) {
    const bars = figure.kind === "bars" && selected > MOST_BARS ? `, or there are more than ${MOST_BARS} bars` : "";
    const log = figure.logX || figure.logY ? ", or a value is not positive on a logarithmic axis" : "";
    parts.push(`The others are left out: a value is absent${log}${bars}.`);
  }
  if (intervals.length) parts.push(`Lines: 95 % confidence intervals of ${intervals.join(" and ")}.`);
  return parts.join(" ");
}

/** One mark is in the order of the Tab key; arrow keys go to the others, Enter shows the row. */
function makeMarksReachable(svg, context, figure, pick) {
  const marks = [...svg.querySelectorAll(".mark")];
  marks.forEach((mark, i) => {
    const row = Number(mark.dataset.row);
    const lines = () => markLines(context, figure, row);
    mark.setAttribute("tabindex", i ? -1 : 0);
    mark.setAttribute("role", "button");
    mark.setAttribute("aria-label", lines().join(", "));
    withTooltip(mark, lines);
    mark.addEventListener("click", () => pick(row));
    mark.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step) {
        const next = marks[(i + step + marks.length) % marks.length];
        mark.setAttribute("tabindex", -1);
        next.setAttribute("tabindex", 0);
        next.focus();
      } else if (event.key === "Enter" || event.key === " ") pick(row);
      else return;
      event.preventDefault();
    });
  });
}

function markLines({ study, info, table }, figure, row) {
  const names = figure.kind === "bars" ? [figure.y] : [figure.y, figure.x];
  const value = (name) => {
    const column = info.columns.find((candidate) => candidate.name === name);
    const ends = column.interval?.map((end) => table.values[end][row]) ?? [null, null];
    const text = `${shortText(table.values[name][row])} ${column.unit}`.trim();
    return `${name}: ${text} ${intervalText(...ends)}`.trim();
  };
  return [rowName(study, info, table, row), ...names.map(value)];
}
