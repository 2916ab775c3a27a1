// The table of instances: filtered, sorted, and drawn as far as it is looked at.

const AT_ONCE = 120;
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const hasRegions = ROWS.some((row) => row.regions);
const hasFiles = ROWS.some((row) => row.document || row.witnessFile);

const TABLE = [
  { key: "set", name: "Set", wide: true, value: (row) => row.set },
  { key: "instance", name: "Network and query", value: (row) => `${row.onnx} ${row.vnnlib}` },
  { key: "tool", name: "Tool", value: (row) => row.tool },
  { key: "verdict", name: "Verdict", value: (row) => row.verdict },
  { key: "outcome", name: "Outcome", value: (row) => row.outcome },
  { key: "seconds", name: "Seconds", number: true, value: (row) => row.seconds },
  { key: "regions", name: "Regions", number: true, value: (row) => row.regions, hidden: !hasRegions },
  { key: "files", name: "Files", unsorted: true, hidden: !hasFiles },
].filter((column) => !column.hidden);

let matching = ROWS;
let drawn = 0;
let opened = new Set();

function searched(row) {
  row.searched ??= [row.set, row.onnx, row.vnnlib, row.tool, row.verdict, row.outcome, row.reason].join(" ").toLowerCase();
  return row.searched;
}

function matches(row, words) {
  return (!state.set || row.set === state.set) && (!state.tool || row.tool === state.tool)
    && (!state.verdict || row.verdict === state.verdict) && (!state.outcome || row.outcome === state.outcome)
    && words.every((word) => searched(row).includes(word));
}

function select() {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  matching = ROWS.filter((row) => matches(row, words));
  const column = TABLE.find((one) => one.key === state.sort.replace(/^-/, "") && !one.unsorted);
  if (!column) return;
  const sign = state.sort.startsWith("-") ? -1 : 1;
  const order = column.number
    ? (a, b) => column.value(a) - column.value(b)
    : (a, b) => collator.compare(column.value(a), column.value(b));
  matching = [...matching].sort((a, b) => sign * order(a, b) || a.place - b.place);
}

function drawHead() {
  const body = document.querySelector("#rows thead");
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  body.setAttribute("role", "rowgroup");
  body.replaceChildren(h("tr", { role: "row" }, TABLE.map((column) => {
    const sorted = state.sort === column.key ? "ascending" : state.sort === `-${column.key}` ? "descending" : null;
    const next = sorted === "ascending" ? `-${column.key}` : sorted === "descending" ? "" : column.key;
    const name = `w-${column.key} k-${column.key}${column.number ? " n" : ""}${column.unsorted ? " plain" : ""}`;
    return h("th", { scope: "col", role: "columnheader", class: name, "aria-sort": sorted }, column.unsorted
      ? column.name
      : h("button", { type: "button", "data-key": column.key, onclick: () => {
        change({ sort: next });
        drawTable();
      } }, column.name));
  })));
  if (focused) body.querySelector(`button[data-key="${focused}"]`)?.focus();
}

function address(path) {
  const parts = path.split("/");
  const plain = path && !path.includes("\\") && !parts.includes("..") && parts[0] !== "";
  return plain ? DATA.base + parts.map(encodeURIComponent).join("/") : null;
}

function fileLink(path, words) {
  const href = address(path);
  return href && h("a", { href, target: "_blank", rel: "noopener" }, words);
}

function cell(row, column) {
  if (column.key === "instance") {
    return [h("span", { class: "network", title: row.onnx }, fileName(row.onnx)), " ",
      h("span", { class: "query", title: row.vnnlib }, fileName(row.vnnlib))];
  }
  if (column.key === "set") {
    return h("button", {
      type: "button", class: "open-row", "aria-expanded": String(opened.has(row.id)),
      "aria-label": `${row.set}, ${nameOf(row)}, ${row.tool}: details`,
    }, row.set);
  }
  if (column.key === "verdict") return h("span", { class: `verdict v-${row.verdict}` }, row.verdict);
  if (column.key === "outcome") {
    return h("span", { class: `outcome r-${row.outcome}` }, h("i", { "aria-hidden": "true" }, MARKS[row.outcome]), row.outcome);
  }
  if (column.key === "seconds") return row.seconds.toFixed(2);
  if (column.key === "regions") return row.regions ? number(row.regions) : h("span", { class: "zero" }, "–");
  if (column.key === "files") return [fileLink(row.document, "JSON"), " ", fileLink(row.witnessFile, "witness")];
  return column.value(row);
}

function drawRow(row) {
  const node = h("tr", { role: "row", class: `row${opened.has(row.id) ? " open" : ""} ${row.outcome}`, "data-id": row.id },
    TABLE.map((column) => h("td", { role: "cell", class: `k-${column.key}${column.number ? " n" : ""}` }, cell(row, column))));
  node.addEventListener("click", (event) => {
    if (!event.target.closest("a") && !getSelection().toString()) toggle(row, node);
  });
  return opened.has(row.id) ? [node, drawDetail(row)] : [node];
}

function toggle(row, node) {
  const open = !opened.has(row.id);
  if (open) {
    opened.add(row.id);
    node.after(drawDetail(row));
  } else {
    opened.delete(row.id);
    node.nextElementSibling.remove();
  }
  change({ row: open ? row.id : state.row === row.id ? "" : state.row });
  node.classList.toggle("open", open);
  node.querySelector(".open-row").setAttribute("aria-expanded", String(open));
}

function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function commandOf(row) {
  const folder = DATA.folders[row.set] || row.set;
  const values = {
    network: `${folder}/${row.onnx}`, query: `${folder}/${row.vnnlib}`, result: "result.json", ...DATA.limits,
    timeout: row.timeout,
  };
  const template = DATA.commands[row.tool] || ["slir-milp", "verify", "{network}", "{query}", "--timeout", "{timeout}"];
  const words = [];
  for (const word of template) {
    let known = true;
    words.push(word.replace(/\{(\w+)\}/g, (all, name) => {
      known &&= !(name in values) || values[name] !== null;
      return name in values ? String(values[name]) : all;
    }));
    if (!known) words.splice(words.at(-2)?.startsWith("--") ? -2 : -1);  // (a limit that was not set)
  }
  return words.map(quoted).join(" ");
}

function copyButton(words, content) {
  const button = h("button", { type: "button", class: "copy", onclick: async () => {
    try {
      await navigator.clipboard.writeText(content());
    } catch {
      const area = h("textarea", { class: "unseen" }, content());
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = "Copied";
    say("Copied");
    setTimeout(() => { button.textContent = words; }, 1500);
  } }, words);
  return button;
}

function drawDetail(row) {
  const fact = (name, value, full) => value !== null && value !== "" && value !== undefined
    && h("div", { class: full ? "full" : null }, h("dt", null, name), h("dd", null, value));
  const stages = Object.entries(row.stages).filter(([, count]) => count)
    .map(([stage, count]) => `${number(count)} by ${STAGE_NAMES[stage] || stage}`).join(", ");
  const held = { both: "in exact arithmetic and in ONNX Runtime", exact: "in exact arithmetic alone",
    runtime: "in ONNX Runtime alone", none: "in neither arithmetic" }[row.witness] || row.witness;
  const command = commandOf(row);
  const files = [fileLink(row.document, "JSON document"), fileLink(row.witnessFile, "witness")].filter(Boolean);
  return h("tr", { role: "row", class: "detail" }, h("td", { role: "cell", colspan: TABLE.length }, h("dl", null,
    fact("Network", row.onnx), fact("Query", row.vnnlib),
    fact("Published verdict", row.truth || "none"),
    fact("Reason", row.reason, row.reason.length > 60),
    fact("Limit", row.timeout === null ? "none" : `${time(row.timeout)} s`),
    fact("Peak memory", row.memory === null ? "" : `${number(row.memory)} MB`),
    fact("Closed", !row.solved && row.regions ? `${row.closed.toFixed(1)} % of the input set` : ""),
    fact("Regions closed", stages),
    fact("Witness holds", held),
    fact("Started", row.started),
    fact("Files", files.length ? h("span", { class: "links" }, files) : ""),
    h("div", { class: "full" }, h("dt", null, "The command that does it again"), h("dd", null, h("pre", null, command),
      copyButton("Copy the command", () => command),
      copyButton("Copy a link to this row", () => `${location.href.split("#")[0]}${fragmentOf({ row: row.id })}`))))));
}

function drawMore(count) {
  const end = Math.min(matching.length, drawn + count);
  const fragment = document.createDocumentFragment();
  for (; drawn < end; drawn += 1) fragment.append(...drawRow(matching[drawn]));
  document.querySelector("#rows tbody").append(fragment);
  const more = document.getElementById("more");
  more.hidden = drawn >= matching.length;
  more.textContent = `Show more (${number(matching.length - drawn)} left)`;
}

function drawTable() {
  select();
  drawHead();
  const body = document.querySelector("#rows tbody");
  body.setAttribute("role", "rowgroup");
  body.replaceChildren();
  drawn = 0;
  const wanted = matching.findIndex((row) => row.id === state.row);
  drawMore(Math.max(AT_ONCE, wanted + 20));
  const all = matching.length === ROWS.length;
  document.getElementById("count").textContent = matching.length
    ? `${all ? "All" : `${number(matching.length)} of`} ${plural(ROWS.length, "row")}`
    : "No row matches; clear a filter or two.";
}

function showRow(id) {
  const row = ROWS.find((one) => one.id === id);
  if (!row) return;
  opened = new Set([id]);
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  change(matches(row, words) ? { row: id } : { row: id, ...Object.fromEntries(FILTERS.map((key) => [key, ""])) });
  fillFilters();
  drawTable();
  const node = document.querySelector(`#rows tr[data-id="${CSS.escape(id)}"]`);
  node.scrollIntoView({ block: "center" });
  node.querySelector(".open-row").focus({ preventScroll: true });
}
