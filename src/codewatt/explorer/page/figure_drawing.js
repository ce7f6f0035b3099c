// Drawing of figures as SVG: a scatter of two columns, or bars of one, with intervals.

import { svgElement } from "./dom.js";
import { linearScale, logScale } from "./axis_scales.js";
import { CHARACTER, FONT, legend, marker, markStyles, shortened } from "./figure_marks.js";
import { tellingColumns } from "./row_selection.js";
import { labelText, tickText } from "./value_text.js";

/** Bars of more rows would be too thin to read. */
export const MOST_BARS = 100;
const BAR_HEIGHT = 22;

/**
 * A figure of the given rows: {svg, drawn, left}: `drawn` are the numbers of the drawn rows, `left`
 * the number of rows that it leaves out, because a value is absent or has no logarithm.
 */
export function drawFigure(context) {
  return context.figure.kind === "bars" ? drawBars(context) : drawScatter(context);
}

function drawScatter(context) {
  const { study, table, rows, figure, width, theme } = context;
  const [xs, ys] = [axisValues(context, figure.x), axisValues(context, figure.y)];
  const usable = (axis, row, log) => axis.value(row) !== null && (!log || axis.value(row) > 0);
  const drawn = rows.filter((row) => usable(xs, row, figure.logX) && usable(ys, row, figure.logY));
  const styles = markStyles(study, table, figure, theme);
  const key = legend(styles.legend, width, theme);
  const area = { left: 74, right: width - 18, top: key.height + 8, bottom: key.height + 380 };
  const svg = emptyFigure(width, area.bottom + 52, theme, key);
  if (!drawn.length) return { svg, drawn, left: rows.length };
  const scaleOf = (axis, log, start, end) => {
    const found = drawn.flatMap((row) => [axis.value(row), ...axis.ends(row)]);
    return log ? logScale(found.filter((value) => value > 0), start, end) : linearScale(found, start, end);
  };
  const x = scaleOf(xs, figure.logX, area.left, area.right);
  const y = scaleOf(ys, figure.logY, area.bottom, area.top);
  drawXAxis(svg, x, area, xs.title, theme);
  drawYAxis(svg, y, area, ys.title, theme);
  // On a logarithmic axis, an end that is not positive lies beyond the border.
  const at = (scale, value, border) => (scale.log && value <= 0 ? border : scale.position(value));
  x.log = figure.logX;
  y.log = figure.logY;
  // Many whiskers are drawn paler, so that the points can be seen.
  const whiskers = svgElement("g", { "stroke-opacity": drawn.length > 60 ? 0.4 : 1 });
  const marks = svgElement("g", { class: "marks" });
  for (const row of drawn) {
    const style = styles.of(row);
    const [cx, cy] = [x.position(xs.value(row)), y.position(ys.value(row))];
    for (const [low, high] of pairs(xs.ends(row))) {
      whiskers.append(whisker(at(x, low, area.left), cy, at(x, high, area.left), cy, style.colour));
    }
    for (const [low, high] of pairs(ys.ends(row))) {
      whiskers.append(whisker(cx, at(y, low, area.bottom), cx, at(y, high, area.bottom), style.colour));
    }
    marks.append(marker(cx, cy, style, theme, { class: "mark", "data-row": row }));
  }
  svg.append(whiskers, marks);
  return { svg, drawn, left: rows.length - drawn.length };
}

function drawBars(context) {
  const { study, info, table, rows, figure, width, theme } = context;
  const values = axisValues(context, figure.y);
  const drawn = rows.filter((row) => values.value(row) !== null).slice(0, MOST_BARS);
  const styles = markStyles(study, table, figure, theme);
  const key = legend(styles.legend, width, theme);
  const names = drawn.map((row) => rowName(study, info, table, row));
  const longest = Math.max(4, ...names.map((name) => name.length));
  const room = Math.min(longest * CHARACTER + 16, width * 0.45);
  const top = key.height + 8;
  const area = { left: room, right: width - 18, top, bottom: top + drawn.length * BAR_HEIGHT + 4 };
  const svg = emptyFigure(width, area.bottom + 52, theme, key);
  if (!drawn.length) return { svg, drawn, left: rows.length };
  const found = drawn.flatMap((row) => [values.value(row), ...values.ends(row)]);
  const x = linearScale(found, area.left, area.right, { zero: true });
  drawXAxis(svg, x, area, values.title, theme);
  const marks = svgElement("g", { class: "marks" });
  const zero = x.position(0);
  drawn.forEach((row, i) => {
    const style = styles.of(row);
    const [y, end] = [area.top + i * BAR_HEIGHT + 4, x.position(values.value(row))];
    const name = shortened(names[i], Math.floor((room - 16) / CHARACTER));
    svg.append(
      svgElement("text", { x: room - 8, y: y + 12, fill: theme.ink, "text-anchor": "end" }, name),
    );
    marks.append(
      svgElement("rect", {
        class: "mark",
        "data-row": row,
        x: Math.min(zero, end).toFixed(2),
        y,
        width: Math.max(Math.abs(end - zero), 1).toFixed(2),
        height: BAR_HEIGHT - 7,
        fill: style.open ? theme.paper : style.colour,
        stroke: style.colour,
        "stroke-width": 1.5,
      }),
    );
  });
  svg.append(marks);
  drawn.forEach((row, i) => {
    const middle = area.top + i * BAR_HEIGHT + 4 + (BAR_HEIGHT - 7) / 2;
    for (const [low, high] of pairs(values.ends(row))) {
      svg.append(whisker(x.position(low), middle, x.position(high), middle, theme.ink));
    }
  });
  svg.append(line(zero, area.top, zero, area.bottom, theme.soft));
  return { svg, drawn, left: rows.length - drawn.length };
}

/** The values of a column as numbers, and the ends of their intervals where it has them. */
function axisValues({ info, table, view: { intervals } }, name) {
  const column = info.columns.find((candidate) => candidate.name === name);
  const number = (values, row) => (values[row] === null ? null : Number(values[row]));
  const ends = (row) => {
    if (!column.interval || !intervals) return [];
    const [low, high] = column.interval.map((end) => number(table.values[end], row));
    return low === null || high === null ? [] : [low, high];
  };
  return {
    value: (row) => number(table.values[name], row),
    ends,
    title: column.unit ? `${name} (${column.unit})` : name,
  };
}

/** What a row is called in figures: its values in the columns that tell the rows apart. */
export function rowName(study, info, table, row) {
  const names = tellingColumns(table, info.columns);
  const texts = names.map((name) => labelText(study, name, table.values[name][row]));
  return texts.join(" · ") || `row ${row + 1}`;
}

function emptyFigure(width, height, theme, key) {
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  return svgElement(
    "svg",
    { ...size, xmlns: "http://www.w3.org/2000/svg", "font-family": FONT, "font-size": 12 },
    svgElement("rect", { width, height, fill: theme.paper }),
    ...key.nodes,
  );
}

function drawXAxis(svg, scale, area, title, theme) {
  for (const tick of scale.ticks) {
    const x = scale.position(tick);
    svg.append(line(x, area.top, x, area.bottom, theme.line));
    svg.append(axisText(x, area.bottom + 17, tickText(tick), theme.soft, "middle"));
  }
  svg.append(line(area.left, area.bottom, area.right, area.bottom, theme.soft));
  const most = Math.floor((area.right - 8) / CHARACTER);
  const middle = Math.max((area.left + area.right) / 2, (title.length * CHARACTER) / 2 + 4);
  svg.append(axisText(middle, area.bottom + 39, shortened(title, most), theme.ink, "middle"));
}

function drawYAxis(svg, scale, area, title, theme) {
  for (const tick of scale.ticks) {
    const y = scale.position(tick);
    svg.append(line(area.left, y, area.right, y, theme.line));
    svg.append(axisText(area.left - 7, y + 4, tickText(tick), theme.soft, "end"));
  }
  svg.append(line(area.left, area.top, area.left, area.bottom, theme.soft));
  const middle = (area.top + area.bottom) / 2;
  const text = axisText(0, 0, shortened(title, 56), theme.ink, "middle");
  text.setAttribute("transform", `translate(16 ${middle}) rotate(-90)`);
  svg.append(text);
}

function axisText(x, y, text, fill, anchor) {
  return svgElement("text", { x: x.toFixed(1), y, fill, "text-anchor": anchor }, text);
}

function line(x1, y1, x2, y2, stroke) {
  return svgElement("line", { x1, y1, x2, y2, stroke });
}

function whisker(x1, y1, x2, y2, stroke) {
  const ends = { x1: x1.toFixed(2), y1: y1.toFixed(2), x2: x2.toFixed(2), y2: y2.toFixed(2) };
  return svgElement("line", { class: "whisker", ...ends, stroke, "stroke-width": 1.4 });
}

/** [[low, high]] of the ends of an interval, or nothing. */
function pairs(ends) {
  return ends.length ? [ends] : [];
}
