// The tables of the page: decoded from base64 and read from Parquet when a tab is opened.

/** What the page knows of the study: title, labels, tables and their columns. */
export function readStudy() {
  return JSON.parse(document.getElementById("study").textContent);
}

/**
 * A table: {name, length, values}. `values` has an array for each column; an absent value is null,
 * and an integer that a number cannot hold exactly is a BigInt.
 */
export async function readTable(name) {
  const script = [...document.querySelectorAll("script[data-table]")].find(
    (node) => node.dataset.table === name,
  );
  const bytes = decodeBase64(script.textContent);
  const values = {};
  let length = 0;
  await hyparquet.parquetRead({
    file: bytes.buffer,
    onChunk: ({ columnName, columnData, rowStart, rowEnd }) => {
      values[columnName] ??= [];
      for (let i = 0; i < columnData.length; i++) {
        values[columnName][rowStart + i] = plainValue(columnData[i]);
      }
      length = Math.max(length, rowEnd);
    },
  });
  return { name, length, values };
}

function decodeBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

function plainValue(value) {
  if (value === undefined || value === null || Number.isNaN(value)) return null;
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  return typeof value === "object" ? JSON.stringify(value) : value;
}
