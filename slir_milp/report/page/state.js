"use strict";

// The rows, and what is chosen of them.  The choice is kept in the address's fragment, so that it can be bookmarked
// and sent to somebody.

document.documentElement.classList.add("js");

const DATA = JSON.parse(document.getElementById("data").textContent);
const DECIDED = new Set(["sat", "unsat"]);
const MARKS = { right: "✓", wrong: "✗", undecided: "…", unchecked: "?", error: "!" };

const ROWS = DATA.rows.map((v, place) => {
  const row = {
    place, id: v[0], set: DATA.sets[v[1]], onnx: DATA.onnx[v[2]], vnnlib: DATA.vnnlib[v[3]], tool: DATA.tools[v[4]],
    verdict: DATA.verdicts[v[5]], truth: DATA.texts[v[6]], outcome: DATA.outcomes[v[7]], seconds: v[8], timeout: v[9],
    memory: v[10], regions: v[11], stages: v[12] || {}, closed: v[13] / 10, reason: DATA.texts[v[14]],
    witness: DATA.texts[v[15]], document: v[16], witnessFile: v[17], started: v[18],
    instance: `${v[1]},${v[2]},${v[3]}`,
  };
  row.solved = DECIDED.has(row.verdict) && (row.outcome === "right" || row.outcome === "unchecked");
  return row;
});

const PUBLISHED = DATA.published.map((v) => ({
  set: DATA.sets[v[0]], onnx: DATA.onnx[v[1]], vnnlib: DATA.vnnlib[v[2]], tool: DATA.others[v[3]],
  verdict: DATA.verdicts[v[4]], seconds: v[5], timeout: null, solved: v[6] === 1,
  instance: `${v[0]},${v[1]},${v[2]}`,
}));

const KEYS = ["q", "set", "tool", "verdict", "outcome", "sort", "row", "chart", "x", "y"];
const FILTERS = ["q", "set", "tool", "verdict", "outcome"];

function readState() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(KEYS.map((key) => [key, parameters.get(key) || ""]));
}

function isState(fragment) {
  return KEYS.some((key) => new URLSearchParams(fragment.slice(1)).has(key));
}

let state = readState();

function fragmentOf(some) {
  const parameters = new URLSearchParams();
  for (const key of KEYS) if (some[key]) parameters.set(key, some[key]);
  return `#${parameters}`;
}

function change(some) {
  state = { ...state, ...some };
  try {
    history.replaceState(null, "", fragmentOf(state));
  } catch {
    // Some browsers refuse this for files too often in a row; the page goes on without.
  }
}

// Elements.  Text goes in as text alone, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fileName(path) {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.gz$/, "").replace(/\.(onnx|nnet|vnnlib)$/, "");
}

function nameOf(row) {
  return `${fileName(row.onnx)}, ${fileName(row.vnnlib)}`;
}

function number(value) {
  return value.toLocaleString("en", { maximumFractionDigits: 0 });
}

function time(value) {
  return value < 10 ? value.toFixed(2) : value < 1000 ? value.toFixed(1) : number(value);
}

function plural(count, one) {
  return `${number(count)} ${one}${count === 1 ? "" : "s"}`;
}
