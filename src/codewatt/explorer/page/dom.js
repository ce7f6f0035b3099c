// Building of elements. Text always becomes a text node, never markup: labels of a study are shown
// as they are written.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: attributes by name, listeners in `on`, and children (text or elements). */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element; see `element`. */
export function svgElement(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A name with possible line breaks after its underscores. */
export function breakable(name) {
  return name.split(/(?<=_)/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));
}

/** A select element for [value, text] pairs, or for groups of them: {title: pairs}. */
export function selectElement(label, choices, value, changed) {
  const option = ([key, text]) => element("option", { value: key, selected: key === value }, text);
  const content = Array.isArray(choices)
    ? choices.map(option)
    : Object.entries(choices)
        .filter(([, pairs]) => pairs.length)
        .map(([title, pairs]) => element("optgroup", { label: title }, ...pairs.map(option)));
  const select = element("select", { on: { change: () => changed(select.value) } }, ...content);
  return element("label", { class: "field" }, element("span", {}, label), select);
}

/** A labelled checkbox. */
export function checkbox(label, checked, changed) {
  const input = element("input", {
    type: "checkbox",
    checked,
    on: { change: () => changed(input.checked) },
  });
  return element("label", { class: "check" }, input, label);
}

/** Offer a text as a file to save. */
export function saveText(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const tooltip = () => document.getElementById("tooltip");

/** Show a tooltip near a box of the window while the pointer or the focus is on a node. */
export function withTooltip(node, lines) {
  const show = () => showTooltip(node.getBoundingClientRect(), lines());
  node.addEventListener("pointerenter", show);
  node.addEventListener("focus", show);
  node.addEventListener("pointerleave", hideTooltip);
  node.addEventListener("blur", hideTooltip);
  return node;
}

export function hideTooltip() {
  tooltip().hidden = true;
}

function showTooltip(box, lines) {
  const shown = tooltip();
  shown.replaceChildren(
    ...lines.filter(Boolean).map((line, i) => element(i ? "div" : "strong", {}, line)),
  );
  shown.hidden = false;
  const { width, height } = shown.getBoundingClientRect();
  const below = box.bottom + 6 + height < window.innerHeight;
  const left = Math.min(Math.max(box.left, 6), window.innerWidth - width - 6);
  shown.style.left = `${Math.max(left, 6)}px`;
  shown.style.top = `${below ? box.bottom + 6 : Math.max(box.top - height - 6, 6)}px`;
}
