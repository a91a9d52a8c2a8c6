// Tables whose rows are sorted by a column: by its heading, or on a narrow page from a list.

import { h } from "./dom.js";

const LANGUAGE = "en";

/**
 * Make a table. A column is `{title, number?, by?}`: with `by(row)`, the value of a row, it can be sorted by. `cells(row)` are texts
 * and elements, one for each column. `onSort` is called when the order was changed. Returns `element`; `show(rows)`, which
 * keeps the headings, so that the focus and the scroll position stay; and `order()`, the order in words, or null.
 */
export function table(caption, columns, cells, empty, onSort = () => {}) {
  const body = h("tbody");
  const headings = columns.map(({ title, number, by }, index) => {
    const options = { scope: "col", class: number ? "number" : null, "aria-sort": by ? "none" : null };
    return h("th", options, by ? h("button", { type: "button", onclick: () => sort(next(index)) }, title) : title);
  });
  const picker = h("select", { onchange: () => sort(picker.value) }, choices(columns).map(([value, text]) => h("option", { value }, text)));
  const announced = h("p", { class: "hidden", role: "status" });
  const element = h(
    "div",
    {},
    picker.length > 1 ? h("label", { class: "field sort" }, h("span", {}, "Order"), picker) : null,
    announced,
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      h("table", {}, h("caption", {}, caption), h("thead", {}, h("tr", {}, headings)), body),
    ),
  );
  let shown = [];

  /** What a click on a heading asks for: numbers begin with the largest; the third click ends it. */
  function next(index) {
    const [first, second] = columns[index].number ? ["descending", "ascending"] : ["ascending", "descending"];
    if (picker.value === `${index} ${first}`) return `${index} ${second}`;
    return picker.value === `${index} ${second}` ? "" : `${index} ${first}`;
  }

  function sort(value) {
    picker.value = value;
    const [chosen, direction] = value.split(" ");
    headings.forEach((heading, index) => columns[index].by && heading.setAttribute("aria-sort", String(index) === chosen ? direction : "none"));
    announced.textContent = order() === null ? "Not sorted" : `Sorted by ${order()}`;
    fill();
    onSort();
  }

  function order() {
    return picker.value === "" ? null : picker.selectedOptions[0].textContent;
  }

  function fill() {
    const [chosen, direction] = picker.value.split(" ");
    const rows = chosen ? sorted(shown, columns[chosen].by, direction === "descending") : shown;
    body.replaceChildren(...rows.map((row) => line(columns, cells(row))));
    if (!rows.length) body.append(h("tr", {}, h("td", { colspan: columns.length, class: "empty" }, empty)));
  }

  return {
    element,
    order,
    show(rows) {
      shown = rows;
      fill();
    },
  };
}

function choices(columns) {
  const sortable = columns.map(({ title, by }, index) => ({ title, by, index })).filter(({ by }) => by);
  const each = sortable.flatMap(({ title, index }) => ["ascending", "descending"].map((way) => [`${index} ${way}`, `${title}, ${way}`]));
  return [["", "As listed"], ...each];
}

/** The rows in the order of their values. A row without a value is last in both directions. */
function sorted(rows, by, descending) {
  const sign = descending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [first, second] = [by(one) ?? null, by(other) ?? null];
    if (first === null || second === null) return (first === null) - (second === null);
    if (typeof first === "number") return sign * (first - second);
    return sign * first.localeCompare(second, LANGUAGE, { numeric: true });
  });
}

function line(columns, cells) {
  return h(
    "tr",
    {},
    cells.map((cell, index) => {
      const { title, number } = columns[index];
      const options = { "data-title": title, class: number ? "number" : null };
      return index === 0 ? h("th", { ...options, scope: "row" }, cell) : h("td", options, cell);
    }),
  );
}
