// Which rows are shown, and in which order.

/**
 * The numbers of the rows that match the search text and every filter, sorted.
 *
 * A filter is {column, kind} and: for kind "range" low and high (null where open), for "text" a
 * text that the value contains, for "values" the list of its allowed values (null: absent).
 */
export function selectRows(table, view, columns) {
  const texts = columns.filter(({ type }) => type === "text").map(({ name }) => table.values[name]);
  const wanted = view.search.trim().toLowerCase();
  const tests = view.filters.map((filter) => filterTest(filter, table.values[filter.column]));
  const rows = [];
  for (let row = 0; row < table.length; row++) {
    if (wanted && !texts.some((values) => contains(values[row], wanted))) continue;
    if (tests.every((test) => test(row))) rows.push(row);
  }
  return view.sort ? sortedRows(rows, table.values[view.sort.column], view.sort.descending) : rows;
}

function filterTest(filter, values) {
  if (filter.kind === "range") {
    const { low, high } = filter;
    if (low === null && high === null) return () => true;
    return (row) =>
      values[row] !== null &&
      (low === null || values[row] >= low) &&
      (high === null || values[row] <= high);
  }
  if (filter.kind === "text") {
    const wanted = filter.text.toLowerCase();
    return (row) => !wanted || contains(values[row], wanted);
  }
  const allowed = new Set(filter.values);
  return (row) => allowed.has(values[row]);
}

function contains(value, wanted) {
  return value !== null && String(value).toLowerCase().includes(wanted);
}

/** Stable; absent values come last in both directions. */
function sortedRows(rows, values, descending) {
  const direction = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [values[a], values[b]];
    if (x === null || y === null) return (x === null) - (y === null);
    return x < y ? -direction : x > y ? direction : 0;
  });
}

/** The different values of a column, sorted, null last. */
export function distinctValues(values) {
  const found = [...new Set(values)];
  return found.sort((x, y) => {
    if (x === null || y === null) return (x === null) - (y === null);
    return x < y ? -1 : x > y ? 1 : 0;
  });
}

/** Whether all rows have the same value. */
export function isConstant(values) {
  return values.every((value) => value === values[0]);
}

/** Columns that tell the rows apart: of the identity columns those that differ, without those that
 * follow from the others. */
export function tellingColumns(table, columns) {
  const joined = new Set(["cell_id", "variant_id", "prune_layers"]);
  const identity = columns.filter(({ identity, name }) => identity && !joined.has(name));
  const telling = identity.filter(({ name }) => !isConstant(table.values[name]));
  return (telling.length ? telling : columns.filter(({ name }) => joined.has(name)).slice(0, 1)).map(
    ({ name }) => name,
  );
}
