// Colours, marker shapes and legends of figures.

import { svgElement } from "./dom.js";
import { distinctValues } from "./row_selection.js";
import { labelText } from "./value_text.js";

/** Ink, lines and paper of a figure; `black` replaces black, which a dark page does not show. */
export const THEMES = {
  light: { ink: "#222222", soft: "#595959", line: "#dddddd", paper: "#ffffff", black: "#000000" },
  dark: { ink: "#e8e8e8", soft: "#a8adb5", line: "#3a3f47", paper: "#16191d", black: "#f2f2f2" },
};
export const FONT = 'system-ui, "DejaVu Sans", sans-serif';
/** Mean width in pixels of a character of the figures' 12-pixel font. */
export const CHARACTER = 6.6;

const SHAPES = ["circle", "square", "triangle", "diamond", "down", "plus", "cross", "left", "right"];
const OUTLINES = {
  square: "M-4.4-4.4h8.8v8.8h-8.8z",
  triangle: "M0-5.4L5.2 4.2H-5.2z",
  diamond: "M0-6L6 0L0 6L-6 0z",
  down: "M0 5.4L5.2-4.2H-5.2z",
  plus: "M-1.8-5.4h3.6v3.6h3.6v3.6h-3.6v3.6h-3.6v-3.6h-3.6v-3.6h3.6z",
  cross: "M0-2.6L2.8-5.4L5.4-2.8L2.6 0L5.4 2.8L2.8 5.4L0 2.6L-2.8 5.4L-5.4 2.8L-2.6 0L-5.4-2.8L-2.8-5.4z",
  left: "M-5.4 0L4.2-5.2V5.2z",
  right: "M5.4 0L-4.2-5.2V5.2z",
};

/** Twice as many categories as colours can be told apart: the second half has open markers. */
export function mostCategories(study) {
  return 2 * study.colours.length;
}

/** Columns that can colour a figure: they have two values or more, and not too many. */
export function categoryColumns(study, info, table) {
  return info.columns.filter(({ name, type }) => {
    if (type === "real") return false;
    const found = new Set(table.values[name]).size;
    return found > 1 && found <= mostCategories(study);
  });
}

/**
 * How the rows of a table are marked. The categories are those of all rows, so that a filter
 * changes no colour.
 */
export function markStyles(study, table, figure, theme) {
  const categories = (column) => (column ? distinctValues(table.values[column]) : []);
  const [coloured, shaped] = [categories(figure.colour), categories(figure.shape)];
  const colourAt = (i) => {
    const colour = study.colours[i % study.colours.length];
    return colour === "#000000" ? theme.black : colour;
  };
  const colourOf = (value) => colourAt(Math.max(0, coloured.indexOf(value)));
  const isOpen = (value) => coloured.indexOf(value) >= study.colours.length;
  const shapeOf = (value) => SHAPES[Math.max(0, shaped.indexOf(value)) % SHAPES.length];
  const valueOf = (column, row) => (column ? table.values[column][row] : null);
  return {
    of: (row) => ({
      colour: colourOf(valueOf(figure.colour, row)),
      open: isOpen(valueOf(figure.colour, row)),
      shape: shapeOf(valueOf(figure.shape, row)),
    }),
    legend: [
      ...coloured.map((value) => ({
        text: labelText(study, figure.colour, value),
        mark: { colour: colourOf(value), open: isOpen(value), shape: SHAPES[0] },
      })),
      ...(figure.kind === "bars" ? [] : shaped).map((value) => ({
        text: labelText(study, figure.shape, value),
        mark: { colour: theme.soft, open: true, shape: shapeOf(value) },
      })),
    ],
  };
}

/** A marker at a position. */
export function marker(x, y, { colour, open, shape }, theme, attributes = {}) {
  const paint = {
    fill: open ? theme.paper : colour,
    stroke: open ? colour : theme.paper,
    "stroke-width": open ? 1.8 : 1,
    transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})`,
    ...attributes,
  };
  return shape === "circle"
    ? svgElement("circle", { r: 5, ...paint })
    : svgElement("path", { d: OUTLINES[shape], ...paint });
}

/** The legend in lines as wide as the figure: {nodes, height}. */
export function legend(entries, width, theme) {
  const [left, lineHeight] = [12, 20];
  let [x, y] = [left, 14];
  const nodes = [];
  for (const { text, mark } of entries) {
    const shown = shortened(text, 40);
    const needed = 22 + shown.length * CHARACTER + 14;
    if (x > left && x + needed > width) [x, y] = [left, y + lineHeight];
    nodes.push(
      marker(x + 6, y, mark, theme),
      svgElement("text", { x: x + 17, y: y + 4, fill: theme.ink }, shown),
    );
    x += needed;
  }
  return { nodes, height: entries.length ? y + 14 : 6 };
}

/** A text of at most so many characters, cut with an ellipsis. */
export function shortened(text, most) {
  const characters = [...text];
  return characters.length > most ? `${characters.slice(0, Math.max(1, most - 1)).join("")}…` : text;
}
