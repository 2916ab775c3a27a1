// Charts: solved instances in time, two tools compared, stages.  Each is drawn for its place's width.

const STAGE_NAMES = {
  bound: "bounds", inherited: "inherited bounds", lp: "linear programs", milp: "MILP claims",
  exact: "exact arithmetic",
};
const FEWEST_SECONDS = 0.001;
const SHOWN_AT_FIRST = 3;
const COLOURS = 8;

const shown = new Set(DATA.tools);
const charted = () => (state.chart ? ROWS.filter((row) => row.set === state.chart) : ROWS);
const reported = () => (state.chart ? PUBLISHED.filter((row) => row.set === state.chart) : PUBLISHED);

function groupBy(rows, key) {
  const groups = new Map();
  for (const row of rows) {
    const name = row[key];
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(row);
  }
  return groups;
}

function solvedTimes(rows) {
  return rows.filter((row) => row.solved).map((row) => row.seconds).sort((a, b) => a - b);
}

function atMost(sorted, limit) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function logScale(low, high, from, to) {
  const a = Math.log10(low), b = Math.log10(high);
  const scale = (value) => from + ((Math.log10(Math.max(value, low)) - a) / (b - a)) * (to - from);
  const ticks = [];
  for (let k = Math.floor(a); k <= b; k += 1) ticks.push(...[1, 2, 5].map((m) => m * 10 ** k));
  const within = ticks.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  const decades = within.filter((value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9);
  scale.ticks = decades.length > 2 ? decades : within;
  return scale;
}

function evenTicks(most, count) {
  const rough = Math.max(most, 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough));
  const ticks = [];
  for (let value = 0; value <= most; value += step) ticks.push(value);
  return ticks;
}

const tick = (value) => (value >= 1 ? number(value) : String(Number(value.toPrecision(1))));
const rounded = (value) => Math.round(value * 10) / 10;

function canvas(figure, height, title, about) {
  const plot = figure.querySelector(".plot");
  const width = Math.max(Math.floor(plot.clientWidth), 240);
  const tall = Math.round(height(width));
  const id = `${figure.id}-svg`;
  const svg = s("svg", {
    viewBox: `0 0 ${width} ${tall}`, width, height: tall, role: "img", tabindex: 0, "aria-labelledby": `${id}-t ${id}-d`,
  }, s("title", { id: `${id}-t` }, title), s("desc", { id: `${id}-d` }, about));
  plot.replaceChildren(svg);
  return { svg, width, height: tall };
}

const plotHeight = (width) => Math.min(Math.max(width * 0.8, 260), 420);

function text(x, y, content, attributes) {
  return s("text", { x: rounded(x), y: rounded(y), ...attributes }, content);
}

function line(x1, y1, x2, y2, name) {
  return s("path", { d: `M${rounded(x1)} ${rounded(y1)}L${rounded(x2)} ${rounded(y2)}`, class: name });
}

// The words next to the pointer.

const tip = document.getElementById("tip");

function showTip(content, x, y) {
  tip.textContent = content;
  tip.hidden = false;
  const wide = document.documentElement.clientWidth;
  const left = Math.min(x + 14, wide - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(8, left) + scrollX}px`;
  tip.style.top = `${y + scrollY + 16}px`;
}

function hideTip() {
  tip.hidden = true;
}

function say(content) {
  document.getElementById("said").textContent = content;
}

// What can be pointed at in a chart, by pointer and by arrow keys.
function explorable(svg, { find, step, show, enter }) {
  let current = null;
  const mark = s("g", { "aria-hidden": "true" });
  svg.append(mark);
  function at(place, byKey) {
    current = place;
    mark.replaceChildren();
    if (place === null) return hideTip();
    const { x, y, words, marks } = show(place);
    mark.append(...marks);
    const box = svg.getBoundingClientRect(), ratio = box.width / svg.viewBox.baseVal.width;
    showTip(words, box.left + x * ratio, box.top + y * ratio);
    if (byKey) say(words);
    return undefined;
  }
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), ratio = svg.viewBox.baseVal.width / box.width;
    at(find((event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio), false);
  });
  svg.addEventListener("pointerleave", () => at(null, false));
  svg.addEventListener("blur", () => at(null, false));
  svg.addEventListener("click", () => current !== null && enter && enter(current));
  svg.addEventListener("keydown", (event) => {
    const direction = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (direction) {
      event.preventDefault();
      at(step(current, ...direction), true);
    } else if (event.key === "Enter" && current !== null && enter) {
      event.preventDefault();  // (or what gets the focus would be pressed)
      enter(current);
    } else if (event.key === "Escape") {
      at(null, false);
    }
  });
}

function fillData(figure, heads, lines) {
  const details = figure.querySelector(".data");
  const draw = () => {
    if (!details.open) return;
    const cells = (values) => values.map((value, k) => (k
      ? h("td", { class: typeof value === "number" || /^[\d.,–]+$/.test(value) ? "n" : null }, String(value))
      : h("th", { scope: "row" }, String(value))));
    details.querySelector(".scroll").replaceChildren(h("table", { class: "figures plain" },
      h("caption", { class: "unseen" }, figure.querySelector("h3").textContent),
      h("thead", null, h("tr", null, heads.map((head, k) => h("th", { scope: "col", class: k ? "n" : null }, head)))),
      h("tbody", null, lines().map((values) => h("tr", null, cells(values))))));
  };
  details.ontoggle = draw;
  draw();
}

// Solved instances in time

function cactusLines() {
  const own = groupBy(charted(), "tool"), others = groupBy(reported(), "tool");
  const lines = DATA.tools.map((tool, k) => ({ tool, colour: k % COLOURS, times: solvedTimes(own.get(tool) || []) }));
  const known = DATA.others.filter((tool) => shown.has(tool));
  return lines.concat(known.map((tool, k) => ({
    tool, other: true, colour: (DATA.tools.length + k) % COLOURS, times: solvedTimes(others.get(tool) || []),
  })));
}

function drawCactus() {
  const figure = document.getElementById("cactus");
  const all = cactusLines(), lines = all.filter((one) => shown.has(one.tool));
  const legend = figure.querySelector(".legend");
  const focused = legend.contains(document.activeElement) ? document.activeElement.dataset.tool : null;
  legend.replaceChildren(...all.map((one) => h("button", {
    type: "button", "aria-pressed": String(shown.has(one.tool)), "data-tool": one.tool,
    onclick: () => {
      if (shown.has(one.tool)) shown.delete(one.tool);
      else shown.add(one.tool);
      drawCactus();
      tickOthers();
    },
  }, s("svg", { viewBox: "0 0 24 12", "aria-hidden": "true" },
    s("path", { d: "M0 6H24", class: `line c${one.colour}${one.other ? " other" : ""}` })), one.tool)));
  if (focused) [...legend.children].find((button) => button.dataset.tool === focused)?.focus();

  const most = Math.max(1, ...lines.map((one) => one.times.length));
  const times = lines.flatMap((one) => (one.times.length ? [one.times[0], one.times.at(-1)] : []));
  const first = Math.max(FEWEST_SECONDS, Math.min(1, ...times)) * 0.8;
  const last = Math.max(1, DATA.limits.seconds || 0, ...times) * 1.08;
  const about = lines.map((one) => `${one.tool}: ${number(one.times.length)} solved`).join("; ");
  const { svg, width, height } = canvas(figure, plotHeight,
    "Solved instances in time", `${about}. Arrow keys left and right move in time, up and down between tools.`);
  const left = 14 + 8 * number(most).length, right = width - 10, top = 10, bottom = height - 40;
  const x = logScale(first, last, left, right);
  const y = (count) => bottom - (count / most) * (bottom - top);
  for (const value of evenTicks(most, 6)) {
    svg.append(line(left, y(value), right, y(value), value ? "grid" : "axis"),
      text(left - 7, y(value) + 4, number(value), { "text-anchor": "end" }));
  }
  for (const value of x.ticks) {
    svg.append(line(x(value), top, x(value), bottom, "grid"),
      text(x(value), bottom + 17, tick(value), { "text-anchor": "middle" }));
  }
  svg.append(text((left + right) / 2, height - 5, "seconds", { "text-anchor": "middle" }));
  for (const one of [...lines].reverse()) {
    if (!one.times.length) continue;
    let path = `M${rounded(x(one.times[0]))} ${rounded(y(0))}`, before = "";
    one.times.forEach((value, k) => {
      const across = rounded(x(value));
      path += across === before ? "" : `H${across}`;
      path += `V${rounded(y(k + 1))}`;
      before = across;
    });
    svg.append(s("path", { d: `${path}H${rounded(right)}`, class: `line c${one.colour}${one.other ? " other" : ""}`,
      "data-tool": one.tool, "data-solved": one.times.length }));
  }
  const full = lines.filter((one) => one.times.length);
  const secondsAt = (across) => first * (last / first) ** ((across - left) / (right - left));
  explorable(svg, {
    find(px, py) {
      if (!full.length || px < left || px > right || py < top - 8 || py > bottom + 8) return null;
      const at = secondsAt(px);
      const distances = full.map((one) => Math.abs(y(atMost(one.times, at)) - py));
      return { k: distances.indexOf(Math.min(...distances)), seconds: at };
    },
    step(place, across, up) {
      if (!full.length) return null;
      if (!place) return { k: 0, seconds: full[0].times.at(-1) };
      const k = (place.k + (up ? -up : 0) + full.length) % full.length;
      const seconds = Math.min(last, Math.max(first, place.seconds * (last / first) ** (across / 24)));
      return { k, seconds };
    },
    show({ k, seconds }) {
      const one = full[k], count = atMost(one.times, seconds);
      const px = x(seconds), py = y(count);
      return {
        x: px, y: py, words: `${one.tool}: ${number(count)} solved within ${time(seconds)} s`,
        marks: [line(px, top, px, bottom, "hair"),
          s("circle", { cx: rounded(px), cy: rounded(py), r: 4.5, class: `spot c${one.colour}` })],
      };
    },
  });
  const limits = [0.1, 0.3, 1, 3, 10, 30, 100, 300].filter((value) => value < last * 3);
  fillData(figure, ["Tool", ...limits.map((value) => `${value} s`), "in all"],
    () => all.map((one) => [one.tool, ...limits.map((value) => atMost(one.times, value)), one.times.length]));
}

function tickOthers() {
  for (const box of document.querySelectorAll("#cactus-more input")) box.checked = shown.has(box.value);
}

function offerOthers() {
  if (!DATA.others.length) return;
  const solved = groupBy(PUBLISHED.filter((row) => row.solved), "tool");
  const count = (tool) => (solved.get(tool) || []).length;
  const names = DATA.others.filter(count).sort((a, b) => count(b) - count(a));
  if (DATA.tools.length === 1) names.slice(0, SHOWN_AT_FIRST).forEach((tool) => shown.add(tool));
  const more = document.getElementById("cactus-more");
  more.hidden = false;
  more.querySelector(".checks").replaceChildren(...names.map((tool) => h("label", null,
    h("input", { type: "checkbox", value: tool, onchange: (event) => {
      if (event.target.checked) shown.add(tool);
      else shown.delete(tool);
      drawCactus();
    } }), tool)));
  tickOthers();
}

// Two tools compared

function scatterRows(name) {
  return name.startsWith("published:")
    ? reported().filter((row) => row.tool === name.slice(10))
    : charted().filter((row) => row.tool === name);
}

function scatterPairs() {
  const theirs = new Map(scatterRows(state.y || scatterDefaults[1]).map((row) => [row.instance, row]));
  return scatterRows(state.x || scatterDefaults[0])
    .filter((row) => theirs.has(row.instance)).map((row) => [row, theirs.get(row.instance)]);
}

let scatterDefaults = ["", ""];

function prepareScatter() {
  const figure = document.getElementById("scatter");
  const solved = groupBy(PUBLISHED.filter((row) => row.solved), "tool");
  const others = DATA.others.filter((tool) => solved.has(tool)).sort((a, b) => solved.get(b).length - solved.get(a).length);
  const names = [...DATA.tools, ...others.map((tool) => `published:${tool}`)];
  if (names.length < 2) {
    figure.querySelector(".choose").remove();
    figure.querySelector(".data").remove();
    figure.querySelector(".plot").replaceWith(h("p", { class: "empty" },
      "There is one tool only, and no published times are known for these sets: there is nothing to compare it with."));
    return;
  }
  scatterDefaults = [names[0], names[1]];
  ["x", "y"].forEach((axis, k) => {
    const select = document.getElementById(`scatter-${axis}`);
    const option = (name) => h("option", { value: name }, name.replace("published:", ""));
    select.append(...DATA.tools.map(option));
    if (others.length) {
      select.append(h("optgroup", { label: "published, on other machines" },
        others.map((tool) => option(`published:${tool}`))));
    }
    select.value = names.includes(state[axis]) ? state[axis] : scatterDefaults[k];
    select.addEventListener("change", () => {
      change({ [axis]: select.value });
      drawScatter();
    });
  });
}

function drawScatter() {
  const figure = document.getElementById("scatter");
  if (!figure.querySelector(".plot")) return;
  const names = ["x", "y"].map((axis) => document.getElementById(`scatter-${axis}`).value.replace("published:", ""));
  const pairs = scatterPairs();
  const { svg, width, height } = canvas(figure, plotHeight, "Two tools compared",
    `${plural(pairs.length, "instance")}, ${names[0]} against ${names[1]}. `
    + "Arrow keys move from point to point, Enter shows the instance.");
  const times = pairs.flat().filter((row) => row.solved).map((row) => row.seconds);
  const limits = pairs.flat().map((row) => row.timeout || 0);
  const first = Math.max(FEWEST_SECONDS, Math.min(1, ...times)) * 0.8;
  const limit = times.reduce((a, b) => Math.max(a, b), limits.reduce((a, b) => Math.max(a, b), 1)) * 1.12;
  const last = limit * 1.12;
  const left = 58, right = width - 14, top = 14, bottom = height - 44;
  const x = logScale(first, last, left, right), y = logScale(first, last, bottom, top);
  for (const value of x.ticks) {
    if (value > limit / 1.1) continue;
    svg.append(line(x(value), top, x(value), bottom, "grid"), line(left, y(value), right, y(value), "grid"),
      text(x(value), bottom + 17, tick(value), { "text-anchor": "middle" }),
      text(left - 7, y(value) + 4, tick(value), { "text-anchor": "end" }));
  }
  svg.append(line(left, bottom, right, bottom, "axis"), line(left, bottom, left, top, "axis"),
    line(left, bottom, x(limit), y(limit), "axis"),
    line(x(limit), top, x(limit), bottom, "limit"), line(left, y(limit), right, y(limit), "limit"),
    text(left + 6, y(limit) - 5, `undecided by ${names[1]}`, {}),
    text(x(limit) - 6, bottom - 7, `undecided by ${names[0]}`, { "text-anchor": "end" }),
    text((left + right) / 2, height - 7, `${names[0]}, seconds`, { "text-anchor": "middle", class: "name" }),
    text(12, (top + bottom) / 2, `${names[1]}, seconds`, {
      "text-anchor": "middle", class: "name", transform: `rotate(-90 12 ${rounded((top + bottom) / 2)})`,
    }));
  const place = (row, scale) => scale(row.solved ? row.seconds : limit);
  const points = pairs.map(([a, b]) => ({ a, b, x: place(a, x), y: place(b, y) })).sort((p, q) => p.x - q.x || p.y - q.y);
  for (const point of points) {
    const { a, b } = point;
    const clash = DECIDED.has(a.verdict) && DECIDED.has(b.verdict) && a.verdict !== b.verdict;
    const verdict = a.solved ? a.verdict : b.solved ? b.verdict : "none";
    const [px, py] = [rounded(point.x), rounded(point.y)];
    const shape = clash ? `M${px - 5} ${py - 5}l10 10m0 -10l-10 10` : verdict === "sat"
      ? `M${px} ${rounded(py - 4.2)}l4.2 4.2l-4.2 4.2l-4.2 -4.2z`
      : `M${rounded(px - 3.2)} ${py}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0z`;
    svg.append(s("path", { d: shape, class: `p ${clash ? "clash" : verdict}` }));
  }
  if (!points.length) {
    svg.append(text((left + right) / 2, (top + bottom) / 2, "no instance has been run by both", { "text-anchor": "middle" }));
  }
  const describe = (row, name) => `${name}: ${row.verdict}${row.solved ? ` in ${time(row.seconds)} s` : ""}`;
  explorable(svg, {
    find(px, py) {
      let best = null, least = 24 ** 2;
      points.forEach((point, k) => {
        const distance = (point.x - px) ** 2 + (point.y - py) ** 2;
        if (distance < least) [best, least] = [k, distance];
      });
      return best;
    },
    step: (k, across, up) => (points.length ? ((k === null ? 0 : k + (across || up)) + points.length) % points.length : null),
    show(k) {
      const { a, b, x: px, y: py } = points[k];
      return {
        x: px, y: py, words: `${a.set}: ${nameOf(a)}\n${describe(a, names[0])}\n${describe(b, names[1])}`,
        marks: [s("circle", { cx: rounded(px), cy: rounded(py), r: 7, class: "axis" })],
      };
    },
    enter: (k) => showRow((points[k].a.id ? points[k].a : points[k].b).id),
  });
  fillData(figure, ["Instance", names[0], names[1]], () => pairs.map(([a, b]) => [
    `${a.set}: ${nameOf(a)}`, a.solved ? time(a.seconds) : a.verdict, b.solved ? time(b.seconds) : b.verdict]));
}

// What closed the regions

function drawStages() {
  const figure = document.getElementById("stages");
  const bars = [...groupBy(charted(), "set")].map(([set, rows]) => {
    const counts = {};
    for (const row of rows) {
      for (const [stage, count] of Object.entries(row.stages)) counts[stage] = (counts[stage] || 0) + count;
    }
    return { set, counts, total: Object.values(counts).reduce((a, b) => a + b, 0) };
  }).filter((bar) => bar.total);
  const known = Object.keys(STAGE_NAMES);
  const stages = [...new Set([...known, ...bars.flatMap((bar) => Object.keys(bar.counts))])]
    .filter((stage) => bars.some((bar) => bar.counts[stage]));
  const colour = (stage) => `b${(known.includes(stage) ? known.indexOf(stage) : known.length) % COLOURS}`;
  const label = (stage) => STAGE_NAMES[stage] || stage;
  figure.hidden = !bars.length;
  if (!bars.length) return;
  figure.querySelector(".legend").replaceChildren(...stages.map((stage) => h("span", null,
    s("svg", { class: "square", viewBox: "0 0 12 12", "aria-hidden": "true" }, s("rect", { width: 12, height: 12, rx: 2, class: colour(stage) })),
    label(stage))));
  const high = 26, gap = 5;
  const { svg, width } = canvas(figure, () => bars.length * high + 4, "What closed the regions",
    `Shares of the regions of ${plural(bars.length, "set")}; the table below has the counts.`);
  const longest = Math.max(...bars.map((bar) => bar.set.length));
  const left = Math.min(longest * 7 + 12, width * 0.36), right = width - 80;
  bars.forEach((bar, row) => {
    const top = row * high;
    svg.append(text(0, top + 15, bar.set.length * 7 > left ? `${bar.set.slice(0, Math.floor(left / 7) - 1)}…` : bar.set, { class: "name" }),
      text(width, top + 15, number(bar.total), { "text-anchor": "end" }));
    let from = left;
    for (const stage of stages) {
      const count = bar.counts[stage] || 0;
      if (!count) continue;
      const wide = (count / bar.total) * (right - left);
      svg.append(s("rect", { x: rounded(from), y: top, width: rounded(Math.max(wide - 1, 0.5)), height: high - gap,
        class: colour(stage) }, s("title", null, `${bar.set}: ${number(count)} by ${label(stage)}`)));
      if (wide > 34) {
        svg.append(text(from + 7, top + 15, `${Math.floor((100 * count) / bar.total)} %`, { class: "inside" }));
      }
      from += wide;
    }
  });
  svg.removeAttribute("tabindex");
  fillData(figure, ["Set", ...stages.map(label), "in all"],
    () => bars.map((bar) => [bar.set, ...stages.map((stage) => bar.counts[stage] || 0), bar.total]));
}

function drawCharts() {
  hideTip();
  drawCactus();
  drawScatter();
  drawStages();
}
