// The page as a whole: filters, colours, and what happens when.

const filters = Object.fromEntries(FILTERS.map((key) => [key, document.getElementById(`f-${key}`)]));

function options(select, all, values) {
  select.replaceChildren(h("option", { value: "" }, all), ...values.map((value) => h("option", { value }, value)));
}

function fillFilters() {
  for (const key of FILTERS) {
    if (filters[key].value !== state[key]) filters[key].value = state[key];
  }
}

function prepareFilters() {
  options(filters.set, "all", DATA.sets);
  options(filters.tool, "all", DATA.tools);
  options(filters.verdict, "all", DATA.verdicts.filter((one) => ROWS.some((row) => row.verdict === one)));
  options(filters.outcome, "all", DATA.outcomes.filter((one) => ROWS.some((row) => row.outcome === one)));
  for (const key of FILTERS) {
    filters[key].addEventListener("input", () => {
      change({ [key]: filters[key].value, row: "" });
      drawTable();
    });
  }
  const form = document.getElementById("filters");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    change({ ...Object.fromEntries(FILTERS.map((key) => [key, ""])), row: "" });
    fillFilters();
    drawTable();
  });
}

function prepareTheme() {
  const remembered = (() => {
    try {
      return localStorage.getItem("slir-milp-theme");
    } catch {
      return null;
    }
  })();
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  };
  const control = document.getElementById("theme");
  control.hidden = false;
  for (const input of control.querySelectorAll("input")) {
    input.checked = input.value === (remembered || "auto");
    input.addEventListener("change", () => {
      apply(input.value);
      try {
        localStorage.setItem("slir-milp-theme", input.value);
      } catch {
        // Where nothing can be remembered, the choice holds for this visit.
      }
    });
  }
  apply(remembered);
}

function prepareCharts() {
  if (!document.getElementById("charts")) return;
  const select = document.getElementById("chart-set");
  options(select, "all sets", DATA.sets);
  select.value = DATA.sets.includes(state.chart) ? state.chart : "";
  select.addEventListener("change", () => {
    change({ chart: select.value });
    drawCharts();
  });
  offerOthers();
  prepareScatter();
  drawCharts();
  let wide = innerWidth, waiting = 0;
  addEventListener("resize", () => {
    if (innerWidth === wide) return;
    wide = innerWidth;
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(drawCharts);
  });
}

function applyAddress() {
  if (!isState(location.hash)) return;
  state = readState();
  fillFilters();
  if (state.row && ROWS.some((row) => row.id === state.row)) {
    showRow(state.row);
    return;
  }
  drawTable();
  if (FILTERS.some((key) => state[key])) {
    const section = document.getElementById("instances");
    section.scrollIntoView();
    section.focus({ preventScroll: true });
  }
}

prepareTheme();
prepareFilters();
fillFilters();
prepareCharts();
drawTable();
document.getElementById("more").addEventListener("click", () => {
  const before = drawn;
  drawMore(AT_ONCE);
  document.querySelector(`#rows tr[data-id="${matching[before]?.id}"] .open-row`)?.focus();
});
new IntersectionObserver((entries) => {
  if (entries.some((entry) => entry.isIntersecting) && drawn < matching.length) drawMore(AT_ONCE);
}, { rootMargin: "600px" }).observe(document.getElementById("more"));
addEventListener("hashchange", applyAddress);
if (state.row || FILTERS.some((key) => state[key])) applyAddress();
