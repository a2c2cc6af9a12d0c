// Sorts and filters the tables and hides curves. Nothing is fetched, and no text becomes markup.
(function () {
  "use strict";
  document.documentElement.classList.add("js");

  function valueOf(row, column, kind) {
    const cell = row.cells[column];
    if (kind === "number") {
      const order = cell.dataset.order;
      return order === undefined ? null : Number(order);
    }
    return cell.textContent.trim();
  }

  function compare(a, b) {
    return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  }

  function sort(table, heading) {
    const headings = Array.from(table.tHead.rows[0].cells);
    const column = headings.indexOf(heading);
    const kind = heading.dataset.kind;
    const descending = heading.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const rows = Array.from(body.rows).map((row, at) => ({ row, at, value: valueOf(row, column, kind) }));
    rows.sort((a, b) => {
      // Rows without a number stay last in either order.
      if (a.value === null || b.value === null) {
        return (a.value === null) - (b.value === null) || a.at - b.at;
      }
      return (descending ? -1 : 1) * compare(a.value, b.value) || a.at - b.at;
    });
    rows.forEach(({ row }) => body.append(row));
    headings.forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  document.querySelectorAll("table.sortable").forEach((table) => {
    table.tHead.querySelectorAll("button").forEach((button) => {
      button.addEventListener("click", () => sort(table, button.closest("th")));
    });
  });

  function filter(section) {
    const words = section.querySelector(".filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = section.querySelector(".status").value;
    const rows = Array.from(section.querySelectorAll("table.sortable tbody tr"));
    const hidden = new Set();
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word)) && (!status || row.dataset.ranked === status);
      row.hidden = !fits;
      if (!fits) hidden.add(row.dataset.label);
    });
    section.querySelectorAll(".chart .series").forEach((series) => {
      series.classList.toggle("out", hidden.has(series.dataset.label));
    });
    section.querySelectorAll(".legend .key").forEach((key) => {
      key.parentElement.hidden = hidden.has(key.dataset.label);
    });
    section.querySelector(".count").textContent =
      hidden.size ? `${rows.length - hidden.size} of ${rows.length} shown` : "";
  }

  document.querySelectorAll("section.benchmark").forEach((section) => {
    const form = section.querySelector(".controls");
    if (!form) return;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => filter(section));
    filter(section); // browsers restore the text of the filter when a page is reloaded
  });

  document.querySelectorAll(".legend .key").forEach((key) => {
    key.addEventListener("click", () => {
      const shown = key.getAttribute("aria-pressed") !== "true";
      key.setAttribute("aria-pressed", String(shown));
      key.closest(".chart").querySelectorAll(".series").forEach((series) => {
        if (series.dataset.label === key.dataset.label) series.classList.toggle("off", !shown);
      });
    });
  });
})();
